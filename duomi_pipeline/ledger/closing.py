"""A ledger that is or was copied to another place is closed for runs: one prompt would be bought from two ledgers."""

from sqlalchemy import Connection, select

from duomi_pipeline.ledger.database import LedgerError
from duomi_pipeline.ledger.schema import facts

# Names of facts; the values are where the records are being copied to, and where they were copied to.
COPYING = "copying_to"
MOVED = "moved_to"
CLOSINGS = select(facts.c.name, facts.c.value).where(facts.c.name.in_((COPYING, MOVED)), facts.c.value.is_not(None))


class ClosedError(LedgerError):
    """The ledger is closed for runs; the text says where its records are, and how it is opened again."""


def check_open(connection: Connection) -> None:
    """Check that runs may work on this ledger.

    Raises:
        ClosedError: they may not.
    """
    closings = dict(connection.execute(CLOSINGS).tuples().all())
    if place := closings.get(COPYING):
        raise ClosedError(
            f"A copy of this ledger to {place} is at work, or ended before it was whole: wait for it, or begin it "
            "again with `duomi ledger copy`. To go on with this one: `duomi ledger reopen`."
        )
    if place := closings.get(MOVED):
        raise ClosedError(
            f"This ledger was copied to {place}: what is bought there is not known here. Set DUOMI_LEDGER_URL to that "
            "one. To go on with this one, and never again with that one: `duomi ledger reopen`."
        )
