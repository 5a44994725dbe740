"""Retry ledger writes after a paid step: an unrecorded purchase would be bought again."""

import time
from collections.abc import Callable

from duomi_pipeline.ledger import LedgerUnavailableError

PATIENCE = 60.0  # seconds for a full disk or a locked ledger to become usable again
_WAIT = 1.0


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
