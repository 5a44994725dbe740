"""Opening the ledger's database and its transactions: SQLite (WAL, every commit on disk) or PostgreSQL by URL."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from duomi_pipeline.common.sqlite import write_ahead
from duomi_pipeline.ledger.migrate import NewerLedgerError, migrate

LOCK_WAIT = 30  # seconds
_PG_LOCK = 0x64756F6D69  # one advisory lock serialises our writers on PostgreSQL, as BEGIN IMMEDIATE does on SQLite


class LedgerError(Exception):
    """The ledger cannot be opened or written; nothing may be sent without it."""


class LedgerUnavailableError(LedgerError):
    """The database takes no write now: locked, full, gone. It may take it later."""


class Database:
    """Read and write transactions on the ledger; creates its tables on first use."""

    def __init__(self, url: str, home: Path) -> None:
        self._writing = threading.Lock()
        try:
            self._engine = _engine(url, home)
            with self.write() as connection:
                migrate(connection)
        except (SQLAlchemyError, LedgerUnavailableError) as error:
            words = _words(error.__cause__ or error)
            raise LedgerError(f"The ledger cannot be opened: {words}. Check DUOMI_LEDGER_URL.") from error
        except ValueError:  # of a port that is no number; its text would show what stands there, a password maybe
            raise LedgerError(
                "The ledger cannot be opened: its URL has no usable form. Check DUOMI_LEDGER_URL."
            ) from None
        except (OSError, ImportError) as error:
            raise LedgerError(f"The ledger cannot be opened: {error}. Check DUOMI_LEDGER_URL.") from error
        except NewerLedgerError as error:
            raise LedgerError(f"The ledger cannot be opened: {error}.") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that sees no other writer's half-done work, and is on disk when the block ends.

        Raises:
            LedgerUnavailableError: the database does not take it now; nothing of it was written.
        """
        try:
            with self._writing, self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PG_LOCK})
                yield connection
        except OperationalError as error:
            message = f"The ledger cannot be written: {_words(error)}. Make room or let go of it, then start again."
            raise LedgerUnavailableError(message) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A look at one consistent state; never blocks a writer."""
        with self._engine.connect().execution_options(read_only=True) as connection:
            yield connection

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


def _engine(url: str, home: Path) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    if parsed.database and parsed.database != ":memory:":
        file = home / parsed.database
        file.parent.mkdir(parents=True, exist_ok=True)
        parsed = parsed.set(database=str(file))
    engine = create_engine(
        parsed, connect_args={"timeout": LOCK_WAIT, "check_same_thread": False}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, below
        write_ahead(connection, LOCK_WAIT)
        connection.execute("PRAGMA synchronous=FULL")  # a commit announces a paid step: it must survive a power cut
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("read_only")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _words(error: BaseException) -> str:
    """The database's words without the URL, which may hold a password."""
    return str(getattr(error, "orig", None) or type(error).__name__)
