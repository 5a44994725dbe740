"""Prepare and open the Dagster instance of a home folder; UI and command line use the same one."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from glob import glob
from importlib.resources import as_file, files
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget, WorkspaceLoadTarget
from filelock import FileLock

from duomi_pipeline.orchestration.partition_ranges import POOL
from duomi_pipeline.settings import Settings, SettingsError

LOCATION = "duomi_pipeline"  # name of the code location, also in the shipped workspace.yaml
_SHIPPED = "dagster.yaml"  # beside this file, also where the package is installed and there is no clone
_LOCK = ".opening.lock"
_OPENING = ".opening"  # there while the databases are opened, and after a process that died meanwhile
_DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")


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


def workspace_target(settings: Settings) -> WorkspaceLoadTarget:
    """The code locations of a home: those of its `workspace.yaml`, else this package."""
    workspace = settings.home / "workspace.yaml"
    if workspace.is_file():
        return WorkspaceFileTarget([str(workspace)])
    return ModuleTarget("duomi_pipeline.definitions", None, str(settings.home), LOCATION)


def _from_config(home: Path) -> AbstractContextManager[dg.DagsterInstance]:
    # Where storages, telemetry and runs look for it; without it events and runs would go with the process.
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.from_config(str(home))


def printing_here(home: Path) -> AbstractContextManager[dg.DagsterInstance]:
    """An opener for runs in a process with a terminal: what they print stays there, and goes into no file.

    Dagster would send it through helper processes: a bar that moves only at the end, and tracebacks on Ctrl-C.
    """
    os.environ["DAGSTER_HOME"] = str(home)
    no_capture = {
        "module": NoOpComputeLogManager.__module__,
        "class": NoOpComputeLogManager.__name__,
    }
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={"compute_logs": no_capture}))


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
            opening = home / _OPENING
            if opening.exists():
                _remove_half_made(home)
            opening.touch()
            instance = stack.enter_context(opener(home))
            _limit_image_runs(instance, settings.image_runs)
            opening.unlink()
        yield instance


def _limit_image_runs(instance: dg.DagsterInstance, limit: int | None) -> None:
    """Set the limit of the pool; `None`: that of `dagster.yaml`, where nobody has set another in the UI.

    Dagster itself sets it only when it first sees runs of the pool in the queue, and starts all that it sees then.
    """
    storage = instance.event_log_storage
    known = {pool.name: pool for pool in storage.get_pool_limits()}.get(POOL)
    if limit is not None and (known is None or known.from_default or known.limit != limit):
        storage.set_concurrency_slots(POOL, limit)
    elif limit is None and known is None:
        storage.initialize_concurrency_limit_to_default(POOL)


def _remove_half_made(home: Path) -> None:
    """Remove databases in which nothing stands, and which have no version: their maker was killed."""
    for name in _DATABASES:
        file = home / name
        if file.is_file() and _is_half_made(file):
            for part in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
                part.unlink(missing_ok=True)


def _is_half_made(file: Path) -> bool:
    with closing(sqlite3.connect(file)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return not any(database.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() for name in names)  # noqa: S608
