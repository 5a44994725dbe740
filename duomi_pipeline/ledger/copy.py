"""Copy a whole ledger into another database: to move it, to back it up, to restore it. Whole or not at all."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Table, delete, func, insert, make_url, select, text, tuple_
from sqlalchemy.exc import ArgumentError

from duomi_pipeline.ledger.database import LedgerError
from duomi_pipeline.ledger.ledger import MOVED, Ledger
from duomi_pipeline.ledger.schema import facts, metadata, pictures, posts, purchases

_AT_ONCE = 1_000  # rows


class NotEmptyError(LedgerError):
    """The other ledger has records of its own."""


@dataclass(frozen=True)
class Contents:
    """How much is in a ledger."""

    purchases: int
    posts: int
    pictures: int

    def __str__(self) -> str:
        return f"{self.purchases:,} purchases, {self.posts:,} requests, {self.pictures:,} pictures"


def contents_of(ledger: Ledger) -> Contents:
    """Count what is in a ledger."""
    with ledger.database.read() as connection:
        return _contents(connection)


def move_ledger(source: Ledger, target: Ledger, place: str, told: Callable[[int], None]) -> Contents:
    """Copy a ledger into an empty one, after which no run starts on the old one.

    The old one is closed for runs before the first row is copied, and open again if the copy fails. A copy that was
    killed is begun anew by the next call.

    Args:
        source, target: of two databases.
        place: where the new one is, without a password; named to whoever starts a run on the old one.
        told: called with the number of rows copied so far.

    Raises:
        NotEmptyError: the target has records.
        LedgerError: a run works on one of them, or a database cannot be used.
    """
    before = source.fact(MOVED)
    _check_empty(target)
    source.set_fact(MOVED, place)
    try:
        return copy_ledger(source, target, told)
    except BaseException:
        source.set_fact(MOVED, before)
        raise


def copy_ledger(
    source: Ledger, target: Ledger, told: Callable[[int], None] = lambda _: None, *, replace: bool = False
) -> Contents:
    """Copy every row of a ledger in one transaction, during which nobody writes to either.

    Args:
        replace: drop what the target has.

    Raises:
        NotEmptyError: the target has records, and `replace` was not given.
        LedgerError: a run works on one of them, or a database cannot be used.
    """
    for ledger in (source, target):
        if active := ledger.active_runs():
            raise LedgerError(f"Run {active[0]} is at work on the ledger: wait for its end, or stop it, then again.")
    with source.database.alone() as old, target.database.alone() as new:
        if replace:
            for table in reversed(metadata.sorted_tables):
                new.execute(delete(table))
        elif _contents(new) != Contents(0, 0, 0):
            raise NotEmptyError(f"The other ledger has records already: {_contents(new)}.")
        else:
            new.execute(delete(facts))
        copied = 0
        for table in metadata.sorted_tables:
            copied = _copy_table(old, new, table, copied, told)
        new.execute(delete(facts).where(facts.c.name == MOVED))
        if (found := _contents(new)) != _contents(old):
            raise LedgerError(f"The copy is not whole: {found} instead of {_contents(old)}. Nothing was written.")
        return found


def _check_empty(ledger: Ledger) -> None:
    if (found := contents_of(ledger)) != Contents(0, 0, 0):
        raise NotEmptyError(f"The other ledger has records already: {found}.")


def _copy_table(old: Connection, new: Connection, table: Table, copied: int, told: Callable[[int], None]) -> int:
    for rows in _pages(old, table):
        new.execute(insert(table), rows)
        copied += len(rows)
        told(copied)
    key = table.autoincrement_column
    if key is not None and new.dialect.name == "postgresql":  # else the next row would get an id that is taken
        sequence = text(f"SELECT setval(pg_get_serial_sequence('{table.name}', '{key.name}'), :last)")
        if last := new.execute(select(func.max(key))).scalar():
            new.execute(sequence, {"last": last})
    return copied


def _pages(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    """All rows in the order of their primary key, `_AT_ONCE` at a time."""
    keys = list(table.primary_key.columns)
    page = select(table).order_by(*keys).limit(_AT_ONCE)
    rows = connection.execute(page).all()
    while rows:
        names = [column.key for column in table.columns]
        yield (found := [dict(zip(names, row, strict=True)) for row in rows])
        last = [found[-1][key.key] for key in keys]
        rows = connection.execute(page.where(tuple_(*keys) > tuple_(*last))).all()


def _contents(connection: Connection) -> Contents:
    return Contents(
        *(connection.execute(select(func.count()).select_from(t)).scalar_one() for t in (purchases, posts, pictures))
    )


def open_file(path: Path) -> Ledger:
    """The ledger in an SQLite file of any name."""
    return Ledger(URL.create("sqlite", database=str(path)), path.parent)


def shown(url: str) -> str:
    """A database's URL without its password.

    Raises:
        LedgerError: it is no URL.
    """
    return _parsed(url).set(password=None).render_as_string()


def is_same_place(one: str, other: str, home: Path) -> bool:
    """Whether two URLs name the same database; relative paths are relative to the home folder.

    Raises:
        LedgerError: one is no URL.
    """
    return _place(one, home) == _place(other, home)


def _place(url: str, home: Path) -> tuple[str, ...]:
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return ("sqlite", str((home / (parsed.database or "")).resolve()))
    return (parsed.get_backend_name(), parsed.host or "", str(parsed.port or 5432), parsed.database or "")


def _parsed(url: str) -> URL:
    with suppress(ArgumentError, ValueError):  # their text may hold the password
        return make_url(url)
    raise LedgerError("That is not a database's URL, such as postgresql://user:password@host/database.")
