"""Writing what a paid step was, also where the ledger cannot be written at the moment."""

import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from duomi_pipeline.ledger import LedgerError

PATIENCE = 60.0  # seconds for a full disk or a locked ledger to be mended
_WAIT = 1.0


def insist(write: Callable[[], None]) -> None:
    """Do a write after a POST, again and again for a while: what is not written is bought again.

    Raises:
        LedgerError: it could not be written; the run stops.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            write()
        except SQLAlchemyError as error:
            if time.monotonic() > deadline:
                words = getattr(error, "orig", None) or type(error).__name__
                raise LedgerError(f"The ledger cannot be written: {words}. Make room, then start again.") from error
            time.sleep(_WAIT)
        else:
            return
