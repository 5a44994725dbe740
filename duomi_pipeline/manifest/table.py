"""The manifest's rows as they would be now: a digest of each at once, and the rows themselves a few at a time.

A prompt with its current picture is known by what register and ledger have of it, in bulk; only others are planned.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from duomi_pipeline.engine import Plan, Session, State
from duomi_pipeline.engine.looking import in_order
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.manifest.columns import SCHEMA, Row
from duomi_pipeline.manifest.rows import current_rows, planned_rows

_RULES = 1  # raise it where the same plan and ledger give another row than before
_NAMES = [column.name for column in SCHEMA]
AT_ONCE = 1_000  # rows

PlainRow = tuple[Any, ...]  # a value per column, times in ISO 8601


class Table:
    """All rows.

    Args:
        session: with the ledger.
        plan: of all prompts.

    Attributes:
        ids: of the prompts, in the order of their sources.
        about: what all rows depend on.
    """

    def __init__(self, session: Session, plan: Plan) -> None:
        self._session = session
        self._planned = {entry.prompt.id: entry for entry in plan.entries if entry.state is not State.CURRENT}
        planned = [entry.prompt.id for entry in plan.entries]
        self.ids: Sequence[str] = in_order(session.ledger, plan.settled.union(planned)) if plan.settled else planned
        settings = session.settings
        self.about = json.dumps([version("duomi-pipeline"), _RULES, _NAMES, str(session.store.base), settings.currency])

    def digests(self) -> dict[str, str]:
        """What each row is made of, as 16 hexadecimal digits, by id and in order.

        Raises:
            LedgerError: a picture was removed since the plan was made.
        """
        known = self._session.ledger.results.digests() if len(self._planned) < len(self.ids) else {}
        planned = list(self._planned)
        for start in range(0, len(planned), AT_ONCE):
            some = planned[start : start + AT_ONCE]
            known |= {prompt_id: digest(row) for prompt_id, row in zip(some, self._rows(some), strict=True)}
        try:
            return {prompt_id: known[prompt_id] for prompt_id in self.ids}
        except KeyError as error:
            raise LedgerError(f"{error.args[0]} was retired or its picture removed meanwhile: start again") from error

    def rows(self, ids: Sequence[str]) -> Iterator[list[PlainRow]]:
        """Some rows, a few at a time, in the order of the ids.

        Raises:
            LedgerError: a picture was removed since the plan was made.
        """
        for start in range(0, len(ids), AT_ONCE):
            yield self._rows(ids[start : start + AT_ONCE])

    def _rows(self, ids: Sequence[str]) -> list[PlainRow]:
        entries = [self._planned[prompt_id] for prompt_id in ids if prompt_id in self._planned]
        current = [prompt_id for prompt_id in ids if prompt_id not in self._planned]
        made = planned_rows(self._session, entries) if entries else []
        made += current_rows(self._session, current) if current else []
        by_id = {row["prompt_id"]: plain(row) for row in made}
        return [by_id[prompt_id] for prompt_id in ids]


def plain(row: Row) -> PlainRow:
    """A row's values in the order of the columns, times in ISO 8601."""
    return tuple(
        value.isoformat(timespec="milliseconds") if isinstance(value := row[name], datetime) else value
        for name in _NAMES
    )


def digest(content: object) -> str:
    """16 hexadecimal digits for plain values."""
    return hashlib.blake2b(repr(content).encode(), digest_size=8).hexdigest()
