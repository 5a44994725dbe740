"""The register of prompts: what each source last said, written by whoever looks at it, read by everybody else.

What a look changes is decided in `engine.looking`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, text, update

from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.queries import in_parts
from duomi_pipeline.ledger.records import Look, RegisteredPrompt, Source, Standing
from duomi_pipeline.ledger.schema import looks, prompts

_AT_ONCE = 500  # values per statement
_PROMPT = [prompts.c[field.name] for field in fields(RegisteredPrompt)]
_LOOK = [looks.c[field.name] for field in fields(Look)]


class Known(NamedTuple):
    """What the register has of a prompt, without its text: `version` tells another text or other overrides."""

    standing: Standing
    version: str
    kind: str
    origin: str
    file_prefix: str
    image_id: int | None
    name: str | None


_KNOWN = [prompts.c[name] for name in Known._fields]


@dataclass(frozen=True)
class KnownPrompts:
    """The register before a look.

    Attributes:
        last_look: id of the last look at any source.
        by_id: its prompts of some sources, retired ones too.
    """

    last_look: int
    by_id: Mapping[Source, Mapping[str, Known]]


@dataclass(frozen=True)
class Changes:
    """One look at one source, and what it changes.

    Attributes:
        look: the look.
        said: prompts that are new or not as they were.
        standings: other prompts that now have another standing.
    """

    look: Look
    said: Sequence[RegisteredPrompt] = ()
    standings: Mapping[str, Standing] | None = None


class Register:
    """The register in the ledger's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, sources: Collection[Source]) -> KnownPrompts:
        """The prompts of some sources, to compare a look with."""
        found: dict[Source, dict[str, Known]] = {source: {} for source in sources}
        with self._database.read() as connection:
            last = connection.execute(select(func.max(looks.c.id))).scalar() or 0
            query = select(prompts.c.source, prompts.c.prompt_id, *_KNOWN).where(prompts.c.source.in_(sources))
            for source, prompt_id, *values in connection.execute(query):
                found[source][prompt_id] = Known(*values)
        return KnownPrompts(last, found)

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
            last = connection.execute(select(func.max(looks.c.id))).scalar() or 0
            if after is not None and after != last:
                return False
            for change in changes:
                _record(connection, change)
        return True

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
    look, standings = change.look, change.standings or {}
    _forget_looks(connection, look)
    values = asdict(look) | {"problems": json.dumps(look.problems) if look.problems else None}
    (look_id,) = connection.execute(insert(looks), values).inserted_primary_key or (0,)
    for some in _parts([said.prompt_id for said in change.said]):
        connection.execute(delete(prompts).where(prompts.c.prompt_id.in_(some)))
    if change.said:
        # No asdict: it copies each value, and takes longer than the database.
        names = [field.name for field in fields(RegisteredPrompt)]
        rows = [{name: getattr(said, name) for name in names} | {"look_id": look_id} for said in change.said]
        connection.execute(insert(prompts), rows)
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
