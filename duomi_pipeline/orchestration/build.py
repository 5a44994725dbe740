"""Build the Dagster definitions: one factory for `dagster dev`, the command line and the tests."""

import warnings
from pathlib import Path

import dagster as dg

from duomi_pipeline.orchestration.alerts.sensor import build_run_failures
from duomi_pipeline.orchestration.assets.gallery import gallery
from duomi_pipeline.orchestration.assets.generated_images import build_generated_images
from duomi_pipeline.orchestration.assets.prompts import prompt_files, prompt_table, prompts
from duomi_pipeline.orchestration.assets.results_manifest import results_manifest
from duomi_pipeline.orchestration.checks import manifest_complete, picture_checks, prompts_healthy, sources_seen
from duomi_pipeline.orchestration.io_manager import PngIOManager
from duomi_pipeline.orchestration.jobs import check_results, generate_missing_images, regenerate_images, write_results
from duomi_pipeline.orchestration.resources import Command, DuomiResource, ImageStoreResource, at_home
from duomi_pipeline.orchestration.sensors import catch_up, new_prompts, results_after_runs
from duomi_pipeline.settings import Settings


def build_defs(home: Path | None = None, command: Command | None = None) -> dg.Definitions:
    """All definitions.

    Args:
        home: home folder of the settings; default: `DUOMI_HOME`, else the current folder.
        command: a command that runs them in its own process; its settings are used instead.

    Raises:
        SettingsError: a setting is invalid; the code location then shows the text.
    """
    settings = command.settings if command else Settings.load(home)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill_policy: pinned, and held by tests
        generated_images = build_generated_images(settings)
    return dg.Definitions(
        assets=[
            prompt_table,
            prompt_files,
            prompts,
            generated_images,
            results_manifest,
            gallery,
        ],
        asset_checks=[prompts_healthy, sources_seen, picture_checks, manifest_complete],
        jobs=[generate_missing_images, regenerate_images, write_results, check_results],
        sensors=[new_prompts, results_after_runs, build_run_failures(settings)],
        schedules=[catch_up],
        resources={
            "duomi": at_home(DuomiResource, settings.home, command),
            "image_store": at_home(ImageStoreResource, settings.home, command),
            "png_io_manager": at_home(PngIOManager, settings.home, command),
        },
        # The default executor starts a process per step, which takes 5 to 12 s. Parallel work is inside the step.
        executor=dg.in_process_executor,
    )
