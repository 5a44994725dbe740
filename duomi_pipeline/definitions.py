"""The definitions that `dagster dev` loads (named in `workspace.yaml`); they are built in `orchestration.build`."""

from duomi_pipeline.orchestration.build import build_defs

defs = build_defs()
