"""Prepare and open the Dagster instance of a home folder; UI and command line use the same one."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from glob import glob
from importlib.resources import as_file, files
from pathlib import Path

import dagster as dg
from filelock import FileLock

from duomi_pipeline.settings import Settings, SettingsError

_SHIPPED = "dagster.yaml"  # beside this file, also where the package is installed and there is no clone
_LOCK = ".opening.lock"


def dagster_home(settings: Settings) -> Path:
    """`DAGSTER_HOME`, else `.dagster_home` in the home folder."""
    return Path(os.environ.get("DAGSTER_HOME") or settings.home / ".dagster_home").expanduser().absolute()


def prepare_dagster_home(settings: Settings) -> Path:
    """Create the folder if needed, and copy a `dagster.yaml` into it: the user's own, else the shipped one.

    Raises:
        SettingsError: Dagster would not find that file there, and would start without it: telemetry on, no pool limit.
    """
    home, own = dagster_home(settings), settings.home / _SHIPPED
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / _LOCK):
        if not (home / _SHIPPED).exists():
            with as_file(files("duomi_pipeline.orchestration") / _SHIPPED) as shipped:
                copied = home / f".{_SHIPPED}.new"  # Dagster does not use our lock, and must never read half a file
                shutil.copyfile(own if own.is_file() else shipped, copied)
                copied.replace(home / _SHIPPED)
    if not glob(str(home / _SHIPPED)):  # noqa: PTH207 - as Dagster looks for it
        raise SettingsError(
            f"DAGSTER_HOME={home}: Dagster takes [ and ] in a folder's name for a pattern and does not find its "
            "dagster.yaml there. Rename the folder, or set DAGSTER_HOME to another one."
        )
    return home


def _from_config(home: Path) -> AbstractContextManager[dg.DagsterInstance]:
    # Where storages, telemetry and runs look for it; without it events and runs would go with the process.
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.from_config(str(home))


@contextmanager
def open_instance(
    settings: Settings, opener: Callable[[Path], AbstractContextManager[dg.DagsterInstance]] = _from_config
) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of the home folder.

    Under a lock: Dagster creates its databases without one, and fails if two processes open an empty home at once.

    Args:
        settings: settings of the home folder.
        opener: opens the instance of a folder.
    """
    home = prepare_dagster_home(settings)
    with ExitStack() as stack:
        with FileLock(home / _LOCK):
            instance = stack.enter_context(opener(home))
        yield instance
