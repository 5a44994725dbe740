"""Where Dagster keeps its history, so that UI and command line show the same."""

import os
import shutil
from pathlib import Path

from duomi_pipeline.settings import Settings

_PROJECT_ROOT = Path(__file__).parents[2]


def dagster_home(settings: Settings) -> Path:
    """`DAGSTER_HOME`, else `.dagster_home` in the home folder."""
    return Path(os.environ.get("DAGSTER_HOME") or settings.home / ".dagster_home").expanduser().absolute()


def prepare_dagster_home(settings: Settings) -> Path:
    """Make sure that it exists, with the project's `dagster.yaml` unless it has one of its own."""
    home = dagster_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    template = next((p for p in (settings.home / "dagster.yaml", _PROJECT_ROOT / "dagster.yaml") if p.is_file()), None)
    if template and not (home / "dagster.yaml").exists():
        shutil.copyfile(template, home / "dagster.yaml")
    return home
