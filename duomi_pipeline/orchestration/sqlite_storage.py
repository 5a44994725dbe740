"""Dagster's storage of runs and schedules on SQLite, for folders with any name. Named in `dagster.yaml`.

Dagster puts the path of a database into a URL without quoting. A `?` in a folder's name ends the path there, so that
all databases become one file without tables. Here the path is quoted. A `%` in the folder of the installed packages
would make alembic fail: see `accept_percent_signs`. The event log is in `event_log`.

Dagster makes an engine for each query, which then compiles its statement anew, and reads all its migrations at each
start to see whether a database is there. Here an engine is kept, and a database is asked for its version.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from alembic.config import Config
from dagster import Field, StringSource
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, NullPool, create_engine, inspect, text

# Config schema of each of the three storages in `dagster.yaml`.
CONFIG = {"base_dir": Field(StringSource, is_required=False, description="Default: the folder of Dagster's own.")}
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
        return cls(_made(folder, "runs", SqliteRunStorage.from_local, "instance_info"), inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction."""
        with open_engine(self._conn_string).begin() as connection:
            yield connection

    def delete_run(self, run_id: str) -> None:
        """Delete a run with its tags: Dagster leaves these to a foreign key, which SQLite does not heed by default."""
        with self.connect() as connection:
            connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id == run_id))
            connection.execute(RunsTable.delete().where(RunsTable.c.run_id == run_id))


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
        return cls(_made(folder, "schedules", SqliteScheduleStorage.from_local), inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction."""
        with open_engine(self._conn_string).begin() as connection:
            yield connection


def accept_percent_signs() -> None:
    """Stop alembic, in this process, from reading the formatters for new migrations: nothing here writes any.

    Dagster's alembic.ini names one. To read that section alembic expands the name of its folder (`here`) as a format
    string, and a `%` in it is an error. Alembic 1.20 does this before any database is created or opened.
    """
    Config.get_hooks_list = _no_formatters  # type: ignore[method-assign, assignment]


def database_folder(config_value: Mapping[str, Any], default: str) -> Path:
    """The folder in `dagster.yaml`, else one in `DAGSTER_HOME`; without a home, a temporary one of this process."""
    home = os.environ.get("DAGSTER_HOME") or os.environ.get(_TEMPORARY)
    return Path(config_value.get("base_dir") or Path(home or _temporary_home()) / default).absolute()


def sqlite_url(folder: Path, name: str) -> str:
    """The URL of the database `name` in a folder."""
    return f"sqlite:///file:{quote(str(folder / f'{name}.db'))}?uri=true"


@lru_cache(maxsize=16)
def open_engine(url: str) -> Engine:
    """The engine of a database, which opens a connection for each use, as Dagster's do."""
    return create_engine(url, poolclass=NullPool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})


def is_made(engine: Engine, *tables: str) -> bool:
    """Whether Dagster has made a database: it has its version, which comes last, and the tables that come after it."""
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        if not {"alembic_version", *tables}.issubset(names):
            return False
        return connection.execute(text("SELECT 1 FROM alembic_version")).first() is not None


def make_like(engine: Engine, other: Engine) -> None:
    """Make a database with the tables and the version of another one that Dagster has made."""
    copied = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*' ORDER BY rowid"
    with other.connect() as connection:
        statements = connection.execute(text(copied)).scalars().all()
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        if inspect(connection).get_table_names():  # another process was sooner
            return
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})
        connection.commit()


def _made(folder: Path, name: str, make: Callable[[str], object], *tables: str) -> str:
    """The URL of the database `name` in a folder, made there by Dagster if it is not."""
    folder.mkdir(parents=True, exist_ok=True)
    url = sqlite_url(folder, name)
    if not is_made(open_engine(url), *tables):
        with _plainly_named(folder) as link:
            make(link)
    return url


def _no_formatters(_config: Config) -> list[Mapping[str, str]]:
    return []


@contextmanager
def _plainly_named(folder: Path) -> Iterator[str]:
    """A link with a simple name to a folder, while Dagster creates its tables: it makes the URL from this path."""
    with tempfile.TemporaryDirectory(prefix="dagster_link_") as place:
        link = Path(place) / "link"
        link.symlink_to(folder, target_is_directory=True)
        yield str(link)


def _temporary_home() -> str:
    """A folder for this process and its children, deleted at the end, as in `dagster dev` without a home."""
    folder = tempfile.mkdtemp(prefix="dagster_history_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_TEMPORARY] = folder
    return folder
