"""The manifest's rows as they would be now: a digest of each at once, and the rows themselves a few at a time.

A prompt with its current picture is known by what register and ledger have of it, in bulk; only others are planned.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence, Set
from datetime import datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any

from duomi_pipeline.engine import Plan, Session, State
from duomi_pipeline.engine.looking import in_order
from duomi_pipeline.engine.plan import FEW
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.manifest.columns import SCHEMA, Row
from duomi_pipeline.manifest.edition import Edition, Imprint
from duomi_pipeline.manifest.rows import current_rows, planned_rows

_RULES = 1  # raise it where the same plan and ledger give another row than before
_NAMES = [column.name for column in SCHEMA]
AT_ONCE = 1_000  # rows
_PLANNED = "p"  # before the digest of a row that a plan made

PlainRow = tuple[Any, ...]  # a value per column, times in ISO 8601


class Table:
    """All rows.

    Args:
        session: with the ledger.
        plan: of all prompts.

    Attributes:
        about: what all rows depend on.
    """

    def __init__(self, session: Session, plan: Plan) -> None:
        self._session, self._plan = session, plan
        self._planned = {entry.prompt.id: entry for entry in plan.entries if entry.state is not State.CURRENT}
        settings = session.settings
        self.about = json.dumps([version("duomi-pipeline"), _RULES, _NAMES, str(session.store.base), settings.currency])

    def imprint(self, left_out: str) -> Imprint:
        """What is known of all rows without reading those of current prompts.

        Args:
            left_out: digest of what gives no row.
        """
        plan = self._plan
        planned = digest([len(plan.entries) + len(plan.settled), *self._planned_digests.items()])
        return Imprint(self.about, left_out, planned, plan.mark)

    def edition(self, imprint: Imprint, old: Edition) -> Edition:
        """All rows in the order of their sources, each with a digest of what it is made of.

        Args:
            imprint: of these rows.
            old: the last edition; what is known to be as it was then is not read again.

        Raises:
            LedgerError: a picture was removed since the plan was made.
        """
        changed = self._changed(old)
        ids = self._in_order(old, changed)
        known = self._known(imprint, old, changed) | self._planned_digests
        if left := [prompt_id for prompt_id in ids if prompt_id not in known]:
            known = self._session.ledger.results.digests(left if len(left) <= FEW else None) | known
        try:
            return Edition(imprint, ids, [known[prompt_id] for prompt_id in ids])
        except KeyError as error:
            raise LedgerError(f"{error.args[0]} was retired or its picture removed meanwhile: start again") from error

    @cached_property
    def _planned_digests(self) -> dict[str, str]:
        """Of the rows that the plan makes, by id; told from the others, as the same prompt may be current later."""
        ids = list(self._planned)
        rows = (row for some in self.rows(ids) for row in some)
        return {prompt_id: _PLANNED + digest(row) for prompt_id, row in zip(ids, rows, strict=True)}

    def _changed(self, old: Edition) -> Set[str] | None:
        """The prompts that were changed since the last edition; `None` where that is not known."""
        mark = old.imprint.mark
        return self._session.ledger.register.changed_since(mark) if mark is not None else None

    def _in_order(self, old: Edition, changed: Set[str] | None) -> list[str]:
        """The ids of all rows; the old ones where they are the same, and none has moved past its neighbours."""
        ledger, planned = self._session.ledger, [entry.prompt.id for entry in self._plan.entries]
        if not self._plan.settled:
            return planned
        ids = self._plan.settled | frozenset(planned)
        if changed is None or len(changed) > FEW or len(ids) != len(old.ids) or not ids >= set(old.ids):
            return in_order(ledger, ids)
        at = [number for number, prompt_id in enumerate(old.ids) if prompt_id in changed]
        near = {prompt_id for number in at for prompt_id in old.ids[max(number - 1, 0) : number + 2]}
        is_in_order = in_order(ledger, near) == [prompt_id for prompt_id in old.ids if prompt_id in near]
        return old.ids if is_in_order else in_order(ledger, ids)

    def _known(self, imprint: Imprint, old: Edition, changed: Set[str] | None) -> dict[str, str]:
        """Digests of rows that are as they were: of current prompts, of which nothing has changed."""
        now, then = imprint.mark, old.imprint.mark
        if changed is None or now is None or then is None or now.pictures != then.pictures:
            return {}
        digests = zip(old.ids, old.digests, strict=True)
        return {key: value for key, value in digests if key not in changed and not value.startswith(_PLANNED)}

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
