"""The jobs: what a person or a sensor starts on partitions of `generated_images`."""

import dagster as dg

from duomi_pipeline.engine import GENERATED_BY_ITSELF, State
from duomi_pipeline.orchestration.assets.generated_images import ImagesConfig
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY


def images_config(config: ImagesConfig) -> dg.RunConfig:
    """Run config of a run that generates pictures."""
    return dg.RunConfig(ops={"generated_images": config})


MISSING_AND_FAILED_FOR_NOW = sorted(state.value for state in GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW})

# Checks look at all prompts; after every run of some they would cost more than the run. `catch_up` runs them daily.
_IMAGES = dg.AssetSelection.assets(IMAGES_KEY).without_checks()

generate_missing_images = dg.define_asset_job(
    "generate_missing_images",
    selection=_IMAGES,
    config=images_config(ImagesConfig(states=MISSING_AND_FAILED_FOR_NOW)),
    description="Missing and changed prompts, and those that failed for now. Outdated pictures are left as they are.",
)

regenerate_images = dg.define_asset_job(
    "regenerate_images",
    selection=_IMAGES,
    config=images_config(ImagesConfig()),
    description="Everything that is not current, outdated pictures included. Each new request costs money.",
)

check_results = dg.define_asset_job(
    "check_results",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Every asset check: prompts, pictures and manifest. Sends nothing, costs nothing.",
)
