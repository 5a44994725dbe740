"""The ledger's database and its transactions: SQLite (WAL, every commit on disk) or PostgreSQL. Tables: `schema`.

What a transaction reads before it writes must hold until its commit. On SQLite one writer goes at a time. On PostgreSQL
(READ COMMITTED) a transaction names what it reads and writes, and holds the locks of these names until it ends:

| name | protects |
|---|---|
| a request key | the purchases of this request and their POSTs: claims, steps, takeovers, lost answers |
| `limits of RUN` | the sums of one run, if it has caps |
| `limits` | the sums over all runs, if there are caps of a day, rates or a number in flight |
| `run RUN` | its row in `runs` |
| `repair`, `fact NAME` | records of files that were found or are gone; a fact |

Locks are taken in this order, request keys among themselves by number, and before any row is written: nobody who holds
a row waits for a name. The unique index `purchases_one_open_per_key` guards the first line once more. The sums in
`totals` need no name: each connection has rows of its own. Who compares them with a limit holds that limit's name.
"""

import os
import shlex
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from duomi_pipeline.common.sqlite import write_ahead
from duomi_pipeline.common.text import sentence
from duomi_pipeline.ledger import postgresql
from duomi_pipeline.ledger.group_commit import GroupCommit
from duomi_pipeline.ledger.migrate import VERSION, NewerLedgerError, migrate
from duomi_pipeline.ledger.turns import Turns

LOCK_WAIT = 30  # seconds
_TABLES = postgresql.lock_id("tables")  # shared by writers, exclusive for a migration
_VERSION = "SELECT version_num FROM alembic_version"
# A wrong version ends the transaction with an error, so that its answer need not be waited for.
_RIGHT_VERSION = f"SELECT 1 / (version_num = '{VERSION}')::integer FROM alembic_version"  # noqa: S608
_WRONG_VERSION = "22012"  # SQLSTATE of a division by zero: no other statement of ours divides
_NEWER = "The ledger was upgraded by a newer version of this program: nothing more is written. Upgrade the program."
_NO_ROOM = "Free disk space, or check the disk, then start again."
_TOO_MANY = ("too many clients", "too many connections", "remaining connection slots")


class LedgerError(Exception):
    """The ledger cannot be opened, read or written; nothing may be sent without it."""


class LedgerUnavailableError(LedgerError):
    """The database cannot be used now: locked, full, unreachable. A later try may succeed."""


class ConnectionLostError(LedgerUnavailableError):
    """The connection to the server broke in the midst of a transaction; the next one gets a new connection.

    Attributes:
        may_be_written: the commit was sent, and its answer lost; else nothing of the transaction was written.
    """

    def __init__(self, message: str, *, may_be_written: bool) -> None:
        super().__init__(message)
        self.may_be_written = may_be_written


class LedgerLostError(LedgerError):
    """The database file was deleted, moved or replaced during this run: further writes would be lost."""


class Database:
    """Read and write transactions on the ledger; creates its tables on first use.

    The files of an SQLite ledger are checked before and after writes: nobody reads what is written to a deleted file.

    Attributes:
        file: of an SQLite ledger; `None` for one in memory or on PostgreSQL.
        turns: which threads of this process use it: one writes at a time, on PostgreSQL several read or write.
    """

    def __init__(self, url: str | URL, home: Path) -> None:
        self.file: Path | None = None
        self._opened: _Identity | None = None
        try:
            parsed = make_url(url)
            if _is_sqlite(parsed) and parsed.database and parsed.database != ":memory:":
                self.file = home / parsed.database
                self.file.parent.mkdir(parents=True, exist_ok=True)
                parsed = parsed.set(database=str(self.file))
            self.engine = _sqlite_engine(parsed) if _is_sqlite(parsed) else postgresql.open_engine(parsed)
            self._group_commit = GroupCommit(self.engine, self.check)
            self.turns = self._group_commit.turns if _is_sqlite(parsed) else Turns(postgresql.CONNECTIONS)
            with self._transaction("written") as connection:
                migrate(connection, lock=self._lock_tables, save=self._save_before_upgrade)
            self._opened = _identity(self.file)
            # A new connection would create a new, empty file; open ones still see what this run wrote.
            event.listen(self.engine, "do_connect", lambda *_: self.check())
        except (SQLAlchemyError, LedgerUnavailableError) as error:
            if _is_too_many(error.__cause__):
                raise
            words, file = _words(error.__cause__ or error), f" {self.file}" if self.file else ""
            advice = _NO_ROOM if "disk" in words else "Check DUOMI_LEDGER_URL."
            raise LedgerError(f"The ledger{file} cannot be opened: {words} {advice}") from error
        except ValueError:  # an invalid port; the error's own text would show it, and it may be part of a password
            raise LedgerError("The ledger cannot be opened: its URL is invalid. Check DUOMI_LEDGER_URL.") from None
        except ImportError as error:
            raise LedgerError(
                f"The ledger cannot be opened: {error}. For PostgreSQL install the extra: "
                'pip install "duomi-pipeline[postgres]".'
            ) from error
        except OSError as error:
            raise LedgerError(f"The ledger cannot be opened: {error}. Check DUOMI_LEDGER_URL.") from error
        except NewerLedgerError as error:
            raise LedgerError(f"The ledger cannot be opened: {error}.") from error

    @contextmanager
    def write(self, *names: str, urgent: bool = False, once: bool = False) -> Iterator[Connection]:
        """An isolated write transaction; it is on disk when the block ends.

        Args:
            names: what it reads and writes, in the order of this module's table.
            urgent: it records what has arrived: it goes before those of this process that begin something.
            once: only its last statement has a result, and it holds whatever that is: an error after it undoes nothing.

        Raises:
            LedgerUnavailableError: the database cannot be written now; nothing of the transaction was written.
            ConnectionLostError: the same, unless it says that the transaction may be written.
            LedgerLostError: its file is no longer the one that was opened.
            LedgerError: its file is damaged, or a newer program has changed its tables.
        """
        with self._transaction("written", urgent=urgent, once=once) as connection:
            self._claim(connection, names)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction on one consistent state; never blocks a writer.

        Raises:
            LedgerUnavailableError: the database cannot be read now.
            LedgerError: its file is damaged.
        """
        with self._transaction("read") as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Like `write`, while no other program writes."""
        with self._transaction("written") as connection:
            self._lock_tables(connection)
            if not self._is_sqlite:  # between two steps the other database is at work
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            if connection.exec_driver_sql(_VERSION).scalar() != VERSION:
                raise LedgerError(_NEWER)
            yield connection

    @contextmanager
    def _transaction(self, how: str, *, urgent: bool = False, once: bool = False) -> Iterator[Connection]:
        is_read = how == "read"
        has_commit_left = once  # together with the last statement
        try:
            if self._is_sqlite and not is_read:
                with self._group_commit.write(urgent=urgent) as connection:
                    yield connection
                return
            with (
                nullcontext() if self._is_sqlite else self.turns.turn(urgent=urgent),
                self.engine.connect().execution_options(read_only=is_read, once=once) as connection,
            ):
                yield connection
                if not is_read:
                    has_commit_left = True
                    connection.commit()
        except DatabaseError as error:
            if not is_read:
                self.check()
            if error.connection_invalidated:
                raise ConnectionLostError(self._unusable(error, how), may_be_written=has_commit_left) from error
            if (explained := self._explained(error, how)) is None:
                raise
            raise explained from error

    @property
    def _is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def _claim(self, connection: Connection, names: Sequence[str]) -> None:
        """Lock the names, and check that the tables are those of this program."""
        if self._is_sqlite:
            if self._group_commit.is_first and connection.exec_driver_sql(_VERSION).scalar() != VERSION:
                raise LedgerError(_NEWER)
            return
        connection.begin()
        locks = [f"pg_advisory_xact_lock_shared({_TABLES})"]
        locks += [f"pg_advisory_xact_lock({postgresql.lock_id(name)})" for name in names]
        postgresql.send_later(connection, f"SELECT {', '.join(locks)}")
        postgresql.send_later(connection, _RIGHT_VERSION)

    def _lock_tables(self, connection: Connection) -> None:
        """Let no other program write or upgrade until the transaction ends; SQLite does so by itself."""
        if not self._is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TABLES})")

    def _save_before_upgrade(self) -> None:
        """Keep an SQLite ledger beside itself, so that the program before goes on with it if one has to go back.

        Raises:
            LedgerError: it cannot be kept; nothing was changed.
        """
        if self.file is None:
            return
        unfinished = self.file.with_name(f".{self.file.name}.part")
        try:
            unfinished.unlink(missing_ok=True)
            with closing(sqlite3.connect(self.file)) as now, closing(sqlite3.connect(unfinished)) as saved:
                now.backup(saved)
            unfinished.rename(self.file.with_name(f"{self.file.name}.before-{VERSION}"))
        except (OSError, sqlite3.Error) as error:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            advice = "Free disk space, then start again."
            raise LedgerError(f"{self.file} cannot be copied before its upgrade: {error}. {advice}") from error

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
        if getattr(error.orig, "pgcode", None) == _WRONG_VERSION:
            return LedgerError(_NEWER)
        if isinstance(error, OperationalError):
            return LedgerUnavailableError(self._unusable(error, how))
        if type(error) is not DatabaseError or self.file is None:
            return None
        file, folder = shlex.quote(str(self.file)), shlex.quote(str(self.file.parent / "damaged"))
        move = f"mkdir -p {folder} && mv {file}* {folder}"
        return LedgerError(
            f"The ledger {self.file} is damaged: {_words(error)} Check DUOMI_LEDGER_URL; put a backup in its place; or "
            f"move it away and restore it from the pictures: {move} && duomi ledger rebuild"
        )

    def _unusable(self, error: DatabaseError, how: str) -> str:
        return f"The ledger cannot be {how}: {_words(error)} {self._advice(error)}"

    def _advice(self, error: DatabaseError) -> str:
        if self._is_sqlite:
            return "Free disk space or close the program that uses it, then start again."
        if _is_too_many(error):
            most = postgresql.CONNECTIONS + 1
            return f"Run fewer workers (each takes at most {most} connections), or raise the server's max_connections."
        return "See that the server can be reached, then start again."

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


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _sqlite_engine(url: URL) -> Engine:
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


def _is_too_many(error: BaseException | None) -> bool:
    """Whether the server has no connection left."""
    return isinstance(error, OperationalError) and any(words in str(error.orig) for words in _TOO_MANY)


def _words(error: BaseException) -> str:
    """The database's message as a sentence on one line, without the URL, which may hold a password."""
    return sentence(" ".join(str(getattr(error, "orig", None) or type(error).__name__).split()))
