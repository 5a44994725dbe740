"""Reads the prompt table from a database server, in a read-only transaction. From an SQLite file: `table`."""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, ProgrammingError, SQLAlchemyError

from duomi_pipeline.common.text import one_line
from duomi_pipeline.prompts.prompt import SourceError
from duomi_pipeline.prompts.sqlite_file import TABLES_NEEDED, Row, text_of
from duomi_pipeline.prompts.table import QUERY, fetch_rows, with_whole_ids

_CONNECT_SECONDS = 10
_MAX_WORDS = 300
_DRIVERS = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}  # where the URL names none: the extra's
# Database: the extra that installs its driver, and how a transaction is made read-only.
_SERVERS = {
    "postgresql": ("postgres", "SET TRANSACTION READ ONLY"),
    "mysql": ("mysql", "START TRANSACTION READ ONLY"),
    "mariadb": ("mysql", "START TRANSACTION READ ONLY"),
}


def fetch_rows_of_server(address: str, home: Path) -> list[Row]:
    """All rows of the prompt table, in the order of `table.COLUMNS`.

    Args:
        address: SQLAlchemy URL, such as `postgresql+psycopg2://user:password@host/database`.
        home: folder to which the path of an SQLite URL is relative.

    Raises:
        NoDatabaseError: an SQLite file that does not exist.
        SourceError: not such a URL, no driver, no connection, a table or column missing.
    """
    try:
        url = make_url(address)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):  # their text would show the URL, password and all
        raise SourceError("DUOMI_DATABASE is neither a path nor a SQLAlchemy URL.") from None
    if backend == "sqlite" and url.database:
        return fetch_rows(home / url.database)
    if backend not in _SERVERS:
        raise SourceError(f"DUOMI_DATABASE: {backend}:// is not PostgreSQL, MySQL or SQLite.")
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    extra, read_only = _SERVERS[backend]
    shown = f"{backend}://{url.host}{f':{url.port}' if url.port else ''}/{url.database or ''}"
    try:
        engine = create_engine(url, hide_parameters=True, connect_args={"connect_timeout": _CONNECT_SECONDS})
    except ImportError as error:
        raise SourceError(
            f"{shown} needs a driver that is not installed: pip install 'duomi-pipeline[{extra}]'."
        ) from error
    except (SQLAlchemyError, TypeError) as error:
        raise SourceError(f"{shown} cannot be used: {_words(error, url)}.") from None
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(read_only)
            return list(with_whole_ids(_rows(connection)))
    except ProgrammingError as error:
        raise SourceError(f"{shown}: {_words(error, url)}; {TABLES_NEEDED}") from None
    except SQLAlchemyError as error:
        raise SourceError(f"{shown} cannot be read: {_words(error, url)}. Check DUOMI_DATABASE.") from None
    finally:
        engine.dispose()


def _rows(connection: Connection) -> Iterator[Row]:
    """The rows; their texts may be `NotUtf8` where the server does not know in what encoding they are."""
    is_usual = connection.dialect.driver == "psycopg2"
    if not is_usual or connection.exec_driver_sql("SHOW server_encoding").scalar() != "SQL_ASCII":
        yield from (tuple(row) for row in connection.execute(text(QUERY)))
        return
    # In Latin-1, which has a character for each byte, the driver gives the bytes as they are.
    connection.connection.dbapi_connection.set_client_encoding("LATIN1")  # type: ignore[union-attr]
    for row in connection.execute(text(QUERY)):
        yield tuple(text_of(value.encode("latin-1")) if isinstance(value, str) else value for value in row)


def _words(error: Exception, url: URL) -> str:
    """The driver's own message, without the password and without a full stop."""
    words = one_line(str(getattr(error, "orig", None) or type(error).__name__), _MAX_WORDS)
    return (words.replace(str(url.password), "***") if url.password else words).rstrip(". ")
