"""Where Dagster keeps its history, so that UI and command line show the same."""

import os
import shutil
from glob import glob
from importlib.resources import as_file, files
from pathlib import Path

from duomi_pipeline.settings import Settings, SettingsError

_SHIPPED = "dagster.yaml"  # beside this file, also where the package is installed and there is no clone


def dagster_home(settings: Settings) -> Path:
    """`DAGSTER_HOME`, else `.dagster_home` in the home folder."""
    return Path(os.environ.get("DAGSTER_HOME") or settings.home / ".dagster_home").expanduser().absolute()


def prepare_dagster_home(settings: Settings) -> Path:
    """Make sure that it exists and has a `dagster.yaml`: the user's own, else the shipped one.

    Raises:
        SettingsError: Dagster would not find that file there, and go on without a word: telemetry on, no pool limit.
    """
    home, own = dagster_home(settings), settings.home / _SHIPPED
    home.mkdir(parents=True, exist_ok=True)
    if not (home / _SHIPPED).exists():
        with as_file(files("duomi_pipeline.orchestration") / _SHIPPED) as shipped:
            shutil.copyfile(own if own.is_file() else shipped, home / _SHIPPED)
    if not glob(str(home / _SHIPPED)):  # noqa: PTH207 - as Dagster looks for it
        raise SettingsError(
            f"DAGSTER_HOME={home}: Dagster takes [ and ] in a folder's name for a pattern and does not find its "
            "dagster.yaml there. Rename the folder, or set DAGSTER_HOME to another one."
        )
    return home
