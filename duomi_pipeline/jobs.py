"""The jobs: what a person or a sensor starts on partitions of `generated_images`."""

import dagster as dg

from duomi_pipeline.assets.generated_images import ImagesConfig
from duomi_pipeline.engine import GENERATED_BY_ITSELF, State
from duomi_pipeline.partition_runs import IMAGES_KEY


def images_config(config: ImagesConfig) -> dg.RunConfig:
    """Run config of a run that generates pictures."""
    return dg.RunConfig(ops={"generated_images": config})


MISSING_AND_FAILED_FOR_NOW = sorted(state.value for state in GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW})

generate_missing_images = dg.define_asset_job(
    "generate_missing_images",
    selection=dg.AssetSelection.assets(IMAGES_KEY),
    config=images_config(ImagesConfig(states=MISSING_AND_FAILED_FOR_NOW)),
    description="Missing and changed prompts, and those that failed for now. Outdated pictures are left as they are.",
)

regenerate_images = dg.define_asset_job(
    "regenerate_images",
    selection=dg.AssetSelection.assets(IMAGES_KEY),
    config=images_config(ImagesConfig()),
    description="Everything that is not current, outdated pictures included. Each new request costs money.",
)
