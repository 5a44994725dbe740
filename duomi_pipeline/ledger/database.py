"""The ledger's database and its transactions: SQLite (WAL, every commit on disk) or PostgreSQL. Tables: `schema`."""

import os
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from duomi_pipeline.common.sqlite import write_ahead
from duomi_pipeline.ledger.migrate import NewerLedgerError, migrate

LOCK_WAIT = 30  # seconds
_PG_LOCK = 0x64756F6D69  # one advisory lock serialises our writers on PostgreSQL, as BEGIN IMMEDIATE does on SQLite


class LedgerError(Exception):
    """The ledger cannot be opened, read or written; nothing may be sent without it."""


class LedgerUnavailableError(LedgerError):
    """The database cannot be used now: locked, full, unreachable. A later try may succeed."""


class LedgerLostError(LedgerError):
    """The database file was deleted, moved or replaced during this run: further writes would be lost."""


class Database:
    """Read and write transactions on the ledger; creates its tables on first use.

    The files of an SQLite ledger are checked before and after writes: nobody reads what is written to a deleted file.

    Attributes:
        file: of an SQLite ledger; `None` for one in memory or on PostgreSQL.
    """

    def __init__(self, url: str, home: Path) -> None:
        self._writing = threading.Lock()
        self.file: Path | None = None
        self._opened: _Identity | None = None
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
                self.file = home / parsed.database
                self.file.parent.mkdir(parents=True, exist_ok=True)
                parsed = parsed.set(database=str(self.file))
            self.engine = _engine(parsed)
            with self.write() as connection:
                migrate(connection)
            self._opened = _identity(self.file)
            # A new connection would create a new, empty file; open ones still see what this run wrote.
            event.listen(self.engine, "do_connect", lambda *_: self.check())
        except (SQLAlchemyError, LedgerUnavailableError) as error:
            words, file = _words(error.__cause__ or error), f" {self.file}" if self.file else ""
            raise LedgerError(f"The ledger{file} cannot be opened: {words}. Check DUOMI_LEDGER_URL.") from error
        except ValueError:  # an invalid port; the error's own text would show it, and it may be part of a password
            raise LedgerError("The ledger cannot be opened: its URL is invalid. Check DUOMI_LEDGER_URL.") from None
        except (OSError, ImportError) as error:
            raise LedgerError(f"The ledger cannot be opened: {error}. Check DUOMI_LEDGER_URL.") from error
        except NewerLedgerError as error:
            raise LedgerError(f"The ledger cannot be opened: {error}.") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """An isolated write transaction; it is on disk when the block ends.

        Raises:
            LedgerUnavailableError: the database cannot be written now; nothing of the transaction was written.
            LedgerLostError: its file is no longer the one that was opened.
            LedgerError: its file is damaged.
        """
        self.check()
        try:
            with self._writing, self.engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PG_LOCK})
                yield connection
        except DatabaseError as error:
            self.check()
            if (explained := self._explained(error, "written")) is None:
                raise
            raise explained from error
        self.check()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction on one consistent state; never blocks a writer.

        Raises:
            LedgerUnavailableError: the database cannot be read now.
            LedgerError: its file is damaged.
        """
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                yield connection
        except DatabaseError as error:
            if (explained := self._explained(error, "read")) is None:
                raise
            raise explained from error

    def check(self) -> None:
        """Check that the files are still those that were opened.

        Raises:
            LedgerLostError: they are not.
        """
        if self._opened is None:
            return
        (file, log), (file_now, log_now) = self._opened, _identity(self.file) or (None, None)
        if file_now != file or log_now != (log or log_now):
            raise LedgerLostError(f"The ledger {self.file} was deleted, moved or replaced while it was in use.")

    def _explained(self, error: DatabaseError, how: str) -> LedgerError | None:
        """The database's error as one of ours; `None` if it is a defect of this program."""
        if isinstance(error, OperationalError):
            advice = "Free disk space or close the program that uses it, then start again."
            return LedgerUnavailableError(f"The ledger cannot be {how}: {_words(error)}. {advice}")
        if type(error) is not DatabaseError or self.file is None:
            return None
        file, folder = shlex.quote(str(self.file)), shlex.quote(str(self.file.parent / "damaged"))
        move = f"mkdir -p {folder} && mv {file}* {folder}"
        return LedgerError(
            f"The ledger {self.file} is damaged: {_words(error)}. Check DUOMI_LEDGER_URL; put a backup in its place; "
            f"or move it away and restore it from the pictures: {move} && duomi ledger rebuild"
        )

    def close(self) -> None:
        """Close all connections; the last one removes the write-ahead log. A later query opens a new one."""
        if self._opened is not None:
            self._opened = self._opened[0], None
        self.engine.dispose()


_Identity = tuple[tuple[int, int] | None, tuple[int, int] | None]


def _identity(file: Path | None) -> _Identity | None:
    """Device and inode of an SQLite database and of its write-ahead log, which exists while we are connected."""
    if file is None:
        return None
    return _inode(file, is_empty_gone=True), _inode(f"{file}-wal")  # a write-ahead log may be empty


def _inode(file: Path | str, *, is_empty_gone: bool = False) -> tuple[int, int] | None:
    try:
        stat = os.stat(file)  # noqa: PTH116 - called twice per write, and twice as fast
    except OSError:
        return None
    return None if is_empty_gone and not stat.st_size else (stat.st_dev, stat.st_ino)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(url, connect_args={"timeout": LOCK_WAIT, "check_same_thread": False}, hide_parameters=True)

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
    """The database's message without the URL, which may hold a password."""
    return str(getattr(error, "orig", None) or type(error).__name__)
