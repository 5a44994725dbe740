"""Copy a whole ledger into another database: to move it, to back it up, to restore it. Whole or not at all."""

import shutil
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Table, delete, func, insert, make_url, select, text, tuple_, update
from sqlalchemy.exc import ArgumentError

from duomi_pipeline.ledger.closing import COPYING, MOVED, ClosedError
from duomi_pipeline.ledger.database import LedgerError
from duomi_pipeline.ledger.ledger import Ledger
from duomi_pipeline.ledger.schema import OF_DATABASE, facts, metadata, pictures, posts, purchases, runs

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


_NOTHING = Contents(0, 0, 0)


def contents_of(ledger: Ledger) -> Contents:
    """Count what is in a ledger."""
    with ledger.database.read() as connection:
        return _contents(connection)


def move_ledger(source: Ledger, target: Ledger, place: str, told: Callable[[int], None]) -> Contents:
    """Copy a ledger into an empty one, after which no run starts on the old one.

    The old one is closed for runs before the first row is copied, and open again if the copy fails and nothing of it
    arrived. A copy that was killed is begun again by the next call; if it had been written, the next call only says so.

    Args:
        source, target: of two databases.
        place: where the new one is, without a password; named to whoever starts a run on the old one.
        told: called with the number of rows copied so far.

    Raises:
        NotEmptyError: the target has records.
        ClosedError: the source was copied to another place before.
        LedgerError: a run works on it, or a database cannot be used.
    """
    if (moved := source.fact(MOVED)) not in (None, place):  # a second copy would be a second ledger that is open
        raise ClosedError(
            f"This ledger was copied to {moved}: copy that one. If it is out of use for good: `duomi ledger reopen`."
        )
    was_begun = place in (source.fact(COPYING), moved)
    if was_begun and contents_of(source) == contents_of(target) != _NOTHING:
        found = contents_of(target)
    else:
        _check_empty(target)
        _check_other(source, target)
        _close(source, place)
        try:
            found = copy_ledger(source, target, told)
        except BaseException:
            _reopen(source, target)
            raise
    source.set_fact(MOVED, place)
    source.set_fact(COPYING, None)
    return found


def _close(source: Ledger, place: str) -> None:
    """Close a ledger for runs. One that starts at this moment is seen at work, or finds it closed; there is no third.

    Raises:
        LedgerError: a run works on it; nothing was changed.
    """
    with source.database.alone() as connection:
        _check_at_rest(source, connection)
        connection.execute(delete(facts).where(facts.c.name == COPYING))
        connection.execute(insert(facts).values(name=COPYING, value=place))


def _check_at_rest(ledger: Ledger, connection: Connection) -> None:
    if active := ledger.active_runs_now(connection):
        raise LedgerError(f"Run {active[0]} is at work on the ledger: wait for its end, or stop it, then again.")


def _reopen(source: Ledger, target: Ledger) -> None:
    """Open a ledger again after a copy that failed, unless its commit may have arrived before the failure."""
    with suppress(LedgerError), target.database.alone() as connection:  # waits for the commit
        if _contents(connection) == _NOTHING:
            source.set_fact(COPYING, None)


def copy_ledger(
    source: Ledger,
    target: Ledger,
    told: Callable[[int], None] = lambda _: None,
    *,
    replace: bool = False,
    is_backup: bool = False,
) -> Contents:
    """Copy every row of a ledger in one transaction, during which nobody writes to either.

    Args:
        replace: drop what the target has.
        is_backup: the source is a file that no run works on.

    Raises:
        NotEmptyError: the target has records, and `replace` was not given.
        LedgerError: a run works on one of them, or a database cannot be used.
    """
    with source.database.alone() as old, target.database.alone() as new:
        # None can start now. A backup is nobody's to work on: its runs ended, or would never be seen to end.
        _check_at_rest(*((target, new) if is_backup else (source, old)))
        if replace:
            for table in reversed(metadata.sorted_tables):
                new.execute(delete(table))
        elif _contents(new) != _NOTHING:
            raise NotEmptyError(f"The other ledger has records already: {_contents(new)}.")
        else:
            new.execute(delete(facts))
        copied = 0
        for table in metadata.sorted_tables:
            if table in OF_DATABASE:  # the new one writes its own, from the rows that arrive
                continue
            copied = _copy_table(old, new, table, copied, told)
        new.execute(delete(facts).where(facts.c.name.in_((COPYING, MOVED))))
        # None is alive; over there nobody could tell, and would wait for them.
        new.execute(update(runs).where(runs.c.ended_at.is_(None)).values(ended_at=runs.c.alive_until))
        if (found := _contents(new)) != _contents(old) or _bills(new) != _bills(old):
            raise LedgerError(f"The copy is not whole: {found} instead of {_contents(old)}. Nothing was written.")
        return found


def _check_other(source: Ledger, target: Ledger) -> None:
    """See that both are not one database under two names."""
    name, value = "is_this_one", uuid.uuid4().hex
    target.set_fact(name, value)
    is_same = source.fact(name) == value
    target.set_fact(name, None)
    if is_same:
        raise LedgerError("That is the ledger in use, under another name: give another place.")


def _check_empty(ledger: Ledger) -> None:
    if (found := contents_of(ledger)) != _NOTHING:
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


def _bills(connection: Connection) -> Counter[tuple[Any, ...]]:
    """How many pictures were requested, by what is known of their bill."""
    bill = (posts.c.billing, posts.c.currency, posts.c.price)
    rows = connection.execute(select(*bill, func.sum(posts.c.pictures)).group_by(*bill)).all()
    return Counter({tuple(key): pictures for *key, pictures in rows})


def copy_file(file: Path, to: Path) -> None:
    """Copy the file of an SQLite ledger, with its log if the last program was killed."""
    for ending in ("", "-wal"):
        part = file.with_name(file.name + ending)
        if part.exists():
            shutil.copyfile(part, to.with_name(to.name + ending))


def is_ledger(file: Path) -> bool:
    """Whether an SQLite file is a ledger, of whatever version."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            names = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return False
    return {"alembic_version", "purchases", "posts"} <= names


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
