"""What `dagster dev` loads, named in `workspace.yaml`; `orchestration.build` makes it."""

from duomi_pipeline.orchestration.build import build_defs

defs = build_defs()
