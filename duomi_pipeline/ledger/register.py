"""The register of prompts: what each source last said, written by whoever looks at it, read by everybody else.

What a look changes is decided in `engine.looking`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from sqlalchemy import Connection, String, bindparam, delete, func, insert, select, text, type_coerce, update

from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.queries import in_parts
from duomi_pipeline.ledger.records import Look, RegisteredPrompt, Source, Standing
from duomi_pipeline.ledger.schema import as_given, looks, prompts
from duomi_pipeline.ledger.stamps import Mark

_AT_ONCE = 500  # values per statement
MANY = 10_000  # prompts above which all are read at once
_PROMPT = [prompts.c[one.name] for one in fields(RegisteredPrompt)]
_LOOK = [looks.c[one.name] for one in fields(Look)]
_LAST_LOOK = select(func.max(looks.c.id))


class Known(NamedTuple):
    """What the register has of a prompt, without its text: `version` tells another text or other overrides."""

    standing: Standing
    version: str
    kind: str
    origin: str
    file_prefix: str
    image_id: int | None
    name: str | None
    mark: int | None


_KNOWN = [prompts.c[name] for name in Known._fields]


@dataclass(frozen=True)
class Holdings:
    """How much the register has before a look.

    Attributes:
        last_look: id of the last look at any source.
        counts: how many prompts of each source have each standing.
    """

    last_look: int
    counts: Mapping[Source, Mapping[Standing, int]]


@dataclass(frozen=True)
class Changes:
    """One look at one source, and what it changes.

    Attributes:
        look: the look.
        said: prompts that are new or not as they were.
        standings: other prompts that now have another standing.
        marks: new marks of other prompts, whose row or file was touched but says the same.
    """

    look: Look
    said: Sequence[RegisteredPrompt] = ()
    standings: Mapping[str, Standing] = field(default_factory=dict)
    marks: Mapping[str, int | None] = field(default_factory=dict)


class Register:
    """The register in the ledger's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_look(self) -> int:
        """The id of the last look at any source; 0 before the first."""
        with self._database.read() as connection:
            return connection.execute(_LAST_LOOK).scalar() or 0

    def holdings(self) -> Holdings:
        """How much there is, and since when."""
        counts: dict[Source, dict[Standing, int]] = {source: dict.fromkeys(Standing, 0) for source in Source}
        query = select(prompts.c.source, prompts.c.standing, func.count()).group_by(
            prompts.c.source, prompts.c.standing
        )
        with self._database.read() as connection:
            last = connection.execute(_LAST_LOOK).scalar() or 0
            for source, standing, count in connection.execute(query):
                counts[source][standing] = count
        return Holdings(last, counts)

    def marks(self, source: Source, without: Collection[str]) -> dict[str, int | None] | None:
        """The marks of a source's active prompts, by origin; `None` if two of them have the same origin.

        Args:
            source: one of them.
            without: ids of prompts that are given no mark.
        """
        mine = (prompts.c.source == source) & (prompts.c.standing == Standing.ACTIVE)
        with self._database.read() as connection:
            stored = type_coerce(prompts.c.origin, String)  # read as it is stored it takes half the time
            rows = connection.execute(select(stored, prompts.c.mark).where(mine)).tuples().all()
            found: dict[str, int | None] = {as_given(origin): mark for origin, mark in rows}
            for (origin,) in in_parts(connection, select(prompts.c.origin).where(mine), prompts.c.prompt_id, without):
                found[origin] = None
        return found if len(found) == len(rows) else None

    def known(self, source: Source, ids: Collection[str], origins: Collection[str] | None) -> dict[str, Known]:
        """Prompts of a source by id, to compare a look with.

        Args:
            source: one of them.
            ids, origins: which; besides, all that are neither active nor retired. `origins=None`: all.
        """
        query = select(prompts.c.prompt_id, *_KNOWN).where(prompts.c.source == source)
        unsettled = (Standing.UNUSABLE, Standing.VISITING)
        with self._database.read() as connection:
            if origins is None or len(ids) + len(origins) > MANY:
                rows = list(connection.execute(query))
            else:
                rows = list(connection.execute(query.where(prompts.c.standing.in_(unsettled))))
                rows += in_parts(connection, query, prompts.c.prompt_id, ids)
                rows += in_parts(connection, query, prompts.c.origin, origins)
        return {prompt_id: Known(*values) for prompt_id, *values in rows}

    def record(self, changes: Sequence[Changes], after: int | None) -> bool:
        """Record a look, all of it or nothing. Returns whether it was recorded.

        Args:
            changes: of each source that was looked at.
            after: the look is recorded only if this is still the last one, so that nothing older replaces what
                another look found meanwhile; `None`: in any case.
        """
        with self._database.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("LOCK TABLE looks IN SHARE ROW EXCLUSIVE MODE"))
            last = connection.execute(_LAST_LOOK).scalar() or 0
            if after is not None and after != last:
                return False
            for change in changes:
                _record(connection, change)
        return True

    def origins(self, ids: Collection[str]) -> list[tuple[str, Source, str]]:
        """Id, source and origin of some prompts."""
        query = select(prompts.c.prompt_id, prompts.c.source, prompts.c.origin)
        with self._database.read() as connection:
            if len(ids) <= MANY:
                return [tuple(row) for row in in_parts(connection, query, prompts.c.prompt_id, ids)]
            return [row for row in connection.execute(query).tuples().all() if row[0] in ids]

    def looked_at(self, look_id: int) -> float:
        """When a look was, in seconds since 1970; 0 if this ledger has none with this id."""
        with self._database.read() as connection:
            return connection.execute(select(looks.c.looked_at).where(looks.c.id == look_id)).scalar() or 0.0

    def changed_since(self, mark: Mark) -> set[str] | None:
        """The ids of prompts that were changed since then; `None` if this ledger does not know that mark."""
        if mark.looked_at != self.looked_at(mark.look_id):
            return None
        with self._database.read() as connection:
            changed = select(prompts.c.prompt_id).where(prompts.c.look_id > mark.look_id)
            return set(connection.execute(changed).scalars())

    def standings(self, since: int | None = None) -> dict[str, tuple[Standing, str]]:
        """Standing and version of each prompt by id, or of those that looks after one (its id) found changed."""
        query = select(prompts.c.prompt_id, prompts.c.standing, prompts.c.version)
        if since is not None:
            query = query.where(prompts.c.look_id > since)
        with self._database.read() as connection:
            return {prompt_id: (standing, version) for prompt_id, standing, version in connection.execute(query)}

    def prompts(self, ids: Collection[str] | None = None) -> list[RegisteredPrompt]:
        """Some prompts by their ids, or all of them; retired ones too."""
        with self._database.read() as connection:
            rows = in_parts(connection, select(*_PROMPT), prompts.c.prompt_id, ids)
            return [RegisteredPrompt(*row) for row in rows]

    def last_looks(self) -> dict[Source, Look]:
        """The last look at each source."""
        return self._last(select(func.max(looks.c.id)).group_by(looks.c.source))

    def last_good_looks(self) -> dict[Source, Look]:
        """The last look at each source in which it was read and believed."""
        return self._last(select(func.max(looks.c.id)).where(looks.c.problem.is_(None)).group_by(looks.c.source))

    def _last(self, ids: Any) -> dict[Source, Look]:
        with self._database.read() as connection:
            rows = connection.execute(select(*_LOOK).where(looks.c.id.in_(ids))).mappings().all()
        found = [Look(**{**row, "problems": tuple(map(tuple, json.loads(row["problems"] or "[]")))}) for row in rows]
        return {look.source: look for look in found}


def _record(connection: Connection, change: Changes) -> None:
    look, standings = change.look, change.standings
    _forget_looks(connection, look)
    values = asdict(look) | {"problems": json.dumps(look.problems) if look.problems else None}
    (look_id,) = connection.execute(insert(looks), values).inserted_primary_key or (0,)
    for some in _parts([said.prompt_id for said in change.said]):
        connection.execute(delete(prompts).where(prompts.c.prompt_id.in_(some)))
    if change.said:
        # No asdict: it copies each value, and takes longer than the database.
        names = [one.name for one in fields(RegisteredPrompt)]
        rows = [{name: getattr(said, name) for name in names} | {"look_id": look_id} for said in change.said]
        connection.execute(insert(prompts), rows)
    if change.marks:
        marks = [{"of_prompt": prompt_id, "mark": mark} for prompt_id, mark in change.marks.items()]
        connection.execute(update(prompts).where(prompts.c.prompt_id == bindparam("of_prompt")), marks)
    for standing in set(standings.values()):
        for some in _parts([prompt_id for prompt_id, new in standings.items() if new is standing]):
            changed = update(prompts).where(prompts.c.prompt_id.in_(some))
            connection.execute(changed.values(standing=standing, look_id=look_id))


def _forget_looks(connection: Connection, look: Look) -> None:
    """Delete looks that found nothing new, but for the last one in which the source was believed."""
    mine = looks.c.source == look.source
    old = (looks.c.changes == 0) & mine
    connection.execute(delete(looks).where(old if look.problem is None else old & looks.c.problem.is_not(None)))
    if look.problem is None:
        connection.execute(update(looks).where(mine, looks.c.problems.is_not(None)).values(problems=None))


def _parts(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE)]
