"""The jobs: what users, sensors and schedules start."""

import dagster as dg

from duomi_pipeline.orchestration.assets.images_config import MISSING_JOB, REGENERATE_JOB, ImagesConfig
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY

NEW_PROMPTS_FIRST = {"dagster/priority": "10"}  # before the runs of a backfill, which may take hours


def images_config(config: ImagesConfig) -> dg.RunConfig:
    """Run config of a run that generates pictures."""
    return dg.RunConfig(ops={"generated_images": config})


# Checks read all prompts, so after each small run they would take longer than the run. `catch_up` runs them daily.
_IMAGES = dg.AssetSelection.assets(IMAGES_KEY).without_checks()

generate_missing_images = dg.define_asset_job(
    MISSING_JOB,
    selection=_IMAGES,
    description="Generates missing and changed prompts, and those that failed for now. Leaves outdated pictures. "
    "Without a partition: looks at the sources, and generates all of them, as `duomi generate` does.",
)

regenerate_images = dg.define_asset_job(
    REGENERATE_JOB,
    selection=_IMAGES,
    description="Generates everything that is not current, also outdated pictures. Each new request costs money. "
    "Without a partition: of all prompts.",
)

write_results = dg.define_asset_job(
    "write_results",
    selection=dg.AssetSelection.assets("results_manifest", "gallery").without_checks(),
    tags={"dagster/max_runtime_seconds": "3600", **NEW_PROMPTS_FIRST},
    description="The manifest and the gallery. Sends nothing, costs nothing.",
)

check_results = dg.define_asset_job(
    "check_results",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Every asset check: prompts, pictures and manifest. Sends nothing, costs nothing.",
)
