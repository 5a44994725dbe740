"""Reads an SQLite file that belongs to others: never written, not even to undo what an interrupted writer left."""

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from duomi_pipeline.common.text import one_line
from duomi_pipeline.prompts.prompt import SourceError

Row = tuple[object, ...]

TABLES_NEEDED = "the tables prompts and images of the guide are needed"
_HEADER = 100  # bytes; SQLite's counter of changes is among them
_MODE = 18  # place in the header of the byte that says how it is written
_WAL = 2
_NO_SIDE_FILE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY_DIRECTORY}  # the log could not be opened or made


class NotUtf8(str):
    """A text that was written in another encoding, with U+FFFD for each part of it that cannot be read."""


def text_of(raw: bytes) -> str:
    """Bytes as the text that they are, or as `NotUtf8`."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return NotUtf8(raw.decode("utf-8", "replace"))


def query_file(database: Path, query: str, lock_wait: float) -> Iterator[Row]:
    """The rows that a query gives, one by one; errors also come while they are read. Their texts may be `NotUtf8`.

    Args:
        database: the file.
        query: in SQL, without parameters.
        lock_wait: seconds to wait while another program writes it.

    Raises:
        SourceError: not a database, a table or column missing, locked for too long, or left half written.
    """
    database = database.resolve()  # its log lies beside it, not beside a link to it
    has_begun = False
    try:
        for row in _rows(database, query, lock_wait):
            has_begun = True
            yield row
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)  # errors of Python's own have none
        if has_begun or code not in _NO_SIDE_FILE or not _is_whole_without_log(database):
            raise SourceError(f"{database}: {_advice(database, code, one_line(str(error)), lock_wait)}") from error
        yield from _unchanging_rows(database, query)


def side_file(database: Path, ending: str) -> Path:
    """The file beside a database in which SQLite keeps what is not in it yet (`-wal`) or any more (`-journal`)."""
    return database.with_name(database.name + ending)


def _rows(database: Path, query: str, lock_wait: float, how: str = "mode=ro") -> Iterator[Row]:
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?{how}", uri=True, timeout=lock_wait)) as db:
            db.text_factory = text_of
            yield from db.execute(query)
    except UnicodeDecodeError as error:  # even SQLite's own message, if it quotes a damaged schema
        raise SourceError(f"{database}: the database is damaged ({error.reason})") from error


def _unchanging_rows(database: Path, query: str) -> list[Row]:
    """The rows of a file in WAL mode in a folder that cannot be written, where its log is empty or not there.

    SQLite is told that nobody changes it, and takes no lock. Whether that was so is looked at afterwards.
    """
    before = _state(database)
    try:
        rows = list(_rows(database, query, 0, "mode=ro&immutable=1"))
    except sqlite3.Error as error:
        if _state(database) == before:
            raise SourceError(f"{database}: {_advice(database, None, one_line(str(error)), 0)}") from error
        rows = []
    if _state(database) != before:
        raise SourceError(f"{database} was changed by another program while it was read; try again")
    return rows


def _is_whole_without_log(database: Path) -> bool:
    """Whether the file in WAL mode has all that was committed to it."""
    try:
        with database.open("rb") as file:
            is_wal = file.read(_HEADER)[_MODE : _MODE + 1] == bytes([_WAL])
    except OSError:
        return False
    return is_wal and not any(map(_size, (side_file(database, "-wal"), side_file(database, "-journal"))))


def _state(database: Path) -> tuple[object, ...]:
    found = database.stat()
    with database.open("rb") as file:
        header = file.read(_HEADER)
    sizes = [_size(side_file(database, ending)) for ending in ("-wal", "-journal")]
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, header, *sizes


def _size(path: Path) -> int:
    return path.stat().st_size if os.path.lexists(path) else 0


def _advice(database: Path, code: int | None, error: str, lock_wait: float) -> str:
    """SQLite's message, and what to do."""
    if "locked" in error or "busy" in error:
        return f"locked by another program for more than {lock_wait:g} s; close it or try again ({error})"
    if "no such table" in error or "no such column" in error:
        return f"{error}; {TABLES_NEEDED}"
    if code == sqlite3.SQLITE_READONLY_ROLLBACK:
        return (
            f"a program was interrupted while it wrote, and {database.name}-journal has what it would undo; open the "
            f"database once with that program, or: sqlite3 {shlex.quote(str(database))} .tables ({error})"
        )
    if code in _NO_SIDE_FILE and _size(side_file(database, "-wal")):
        return (
            f"{database.name}-wal has changes that cannot be read in a folder that cannot be written; copy both files "
            f"to one that can, and set DUOMI_DATABASE to it ({error})"
        )
    return error
