"""Dagster's runs and schedules on SQLite, in whatever folder: named in `dagster.yaml`, as the event log beside it.

Dagster writes a database's path into a URL as it stands. A `?` in a folder's name ends the path there: all databases
become one file, named like the part before it, in which nobody finds a table. Here the path is a `file:` address.
A `%` in the folder of the installed packages ends what alembic reads there: `accept_percent_signs`.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from alembic.config import Config
from dagster import Field, StringSource
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._serdes import ConfigurableClassData

# What `dagster.yaml` may say of any of the three storages.
CONFIG = {"base_dir": Field(StringSource, is_required=False, description="Default: where Dagster's own would lie.")}
_TEMPORARY = "DUOMI_TEMPORARY_HISTORY"


class AnyFolderRunStorage(SqliteRunStorage):
    """Dagster's SQLite run storage, also where the folder's name has a `?`."""

    @classmethod
    def config_type(cls) -> Any:
        """What `dagster.yaml` may say."""
        return CONFIG

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster."""
        accept_percent_signs()
        folder = database_folder(config_value, "history")
        with _plainly_named(folder) as link:
            SqliteRunStorage.from_local(link)
        return cls(sqlite_url(folder, "runs"), inst_data)


class AnyFolderScheduleStorage(SqliteScheduleStorage):
    """Dagster's SQLite schedule storage, also where the folder's name has a `?`."""

    @classmethod
    def config_type(cls) -> Any:
        """What `dagster.yaml` may say."""
        return CONFIG

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster."""
        accept_percent_signs()
        folder = database_folder(config_value, "schedules")
        with _plainly_named(folder) as link:
            SqliteScheduleStorage.from_local(link)
        return cls(sqlite_url(folder, "schedules"), inst_data)


def accept_percent_signs() -> None:
    """Have alembic, in this process, not look for formatters of new migrations: nothing here writes any.

    Dagster's alembic.ini names one, and with that section alembic expands the folder's own name (its `here`), in
    which a `%` is no option. It does so in 1.20, before any database is made or opened.
    """
    Config.get_hooks_list = _no_formatters  # type: ignore[method-assign, assignment]


def database_folder(config_value: Mapping[str, Any], default: str) -> Path:
    """What `dagster.yaml` says, else a folder of `DAGSTER_HOME`; without a home, of one that ends with the process."""
    home = os.environ.get("DAGSTER_HOME") or os.environ.get(_TEMPORARY)
    return Path(config_value.get("base_dir") or Path(home or _temporary_home()) / default).absolute()


def sqlite_url(folder: Path, name: str) -> str:
    """The URL of the database `name` in a folder."""
    return f"sqlite:///file:{quote(str(folder / f'{name}.db'))}?uri=true"


def _no_formatters(_config: Config) -> list[Mapping[str, str]]:
    return []


@contextmanager
def _plainly_named(folder: Path) -> Iterator[str]:
    """A link to a folder, for as long as Dagster makes its tables there: it takes a path, and makes the URL itself."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dagster_link_") as place:
        link = Path(place) / "link"
        link.symlink_to(folder, target_is_directory=True)
        yield str(link)


def _temporary_home() -> str:
    """A folder for this process and those that it starts: `dagster dev` without a home throws its history away, too."""
    folder = tempfile.mkdtemp(prefix="dagster_history_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_TEMPORARY] = folder
    return folder
