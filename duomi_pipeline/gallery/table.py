"""The gallery's cards as they would be now: a mark of each at once, and the cards themselves a few at a time."""

from collections.abc import Iterator, Mapping, Sequence

from duomi_pipeline.engine import Plan, Session
from duomi_pipeline.gallery.edition import Edition
from duomi_pipeline.gallery.marks import DIGITS, read_marks, read_twins, what_all_depend_on
from duomi_pipeline.gallery.records import make_cards
from duomi_pipeline.gallery.rows import Row, row_of

_AT_ONCE = 500  # cards


class Table:
    """All cards, retired ones that still have pictures behind the others.

    Args:
        session: with the ledger.
        plan: of all prompts.
        sizes: of the picture files on disk, by name.
        last: the last writing, which may know what need not be found out again.

    Attributes:
        about: what all cards depend on.
        marks: of each card by prompt id, in the order of the sources: the same mark, the same card.
        files: the picture files that are shown, all versions.

    Raises:
        LedgerError: a prompt was retired, or its picture removed, since the plan was made.
    """

    def __init__(self, session: Session, plan: Plan, sizes: Mapping[str, int], last: Edition) -> None:
        self._session, self._plan, self._sizes = session, plan, sizes
        self.about = what_all_depend_on(session)
        found = read_marks(session, plan, sizes)
        self.files = found.files
        ids, marks = [*found.planned, *found.retired], [*found.planned.values(), *found.retired.values()]
        before = [mark for part in last.parts for mark in part.marks]
        if last.about == self.about and marks == [mark[:DIGITS] for mark in before]:
            self._twins = {key: mark[DIGITS:] for key, mark in zip(ids, before, strict=True) if len(mark) > DIGITS}
        else:
            self._twins = read_twins(session, found.planned)
        self.marks = {key: mark + self._twins.get(key, "") for key, mark in zip(ids, marks, strict=True)}

    def rows(self, ids: Sequence[str]) -> Iterator[Row]:
        """Some cards.

        Raises:
            LedgerError: a prompt was retired, or its picture removed, since the plan was made.
        """
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            yield from map(row_of, make_cards(self._session, self._plan, some, self._sizes, self._twins))
