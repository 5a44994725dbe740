"""Retry ledger writes: after a paid step until it is recorded, before one if its connection broke.

An unrecorded purchase would be bought again; a step of which nobody knows whether it was recorded must not be taken
twice.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from duomi_pipeline.ledger import ConnectionLostError, LedgerUnavailableError

PATIENCE = 60.0  # seconds for a full disk or a locked ledger to become usable again
_WAIT = 1.0
_Result = TypeVar("_Result")


def retry_ledger_write(write: Callable[[], None]) -> None:
    """Retry a write until the ledger accepts it, at most `PATIENCE` seconds.

    Raises:
        LedgerUnavailableError: the ledger could not be written in this time; the run stops.
        LedgerError: the ledger cannot be written at all.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            write()
        except LedgerUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(min(_WAIT, PATIENCE))
        else:
            return


def retry_if_cut_off(step: Callable[[], _Result], *, can_be_repeated: bool = False) -> _Result:
    """Take a step before anything is sent; once more if its connection broke and it was not recorded.

    Args:
        can_be_repeated: the step does no harm if it was recorded already: it is taken again also where nobody knows.

    Raises:
        LedgerError: the ledger cannot be used, or nobody knows whether the step is recorded; the run stops.
    """
    try:
        return step()
    except ConnectionLostError as error:
        if error.may_be_written and not can_be_repeated:
            raise
        return step()
