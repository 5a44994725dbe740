"""The run config that the flags of `duomi generate` ask for."""

from duomi_pipeline.cli.options import Options
from duomi_pipeline.orchestration.assets.images_config import ImagesConfig


def images_options(options: Options) -> ImagesConfig:
    """The run config that the flags ask for."""
    return ImagesConfig(
        **options.parameters.explicit(),
        force=options.force,
        max_images=options.max_images,
        regenerate_lost=options.regenerate_lost,
        states=sorted(state.value for state in options.states),
    )
