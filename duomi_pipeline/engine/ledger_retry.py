"""Writing what a paid step was, also where the ledger cannot be written at the moment."""

import time
from collections.abc import Callable

from duomi_pipeline.ledger import LedgerUnavailableError

PATIENCE = 60.0  # seconds for a full disk or a locked ledger to be mended
_WAIT = 1.0


def retry_ledger_write(write: Callable[[], None]) -> None:
    """Do a write after a POST, again and again for a while: what is not written is bought again.

    Raises:
        LedgerUnavailableError: it could not be written; the run stops.
        LedgerError: it cannot be written at all.
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
