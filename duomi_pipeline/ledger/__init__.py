"""What was asked, paid and saved. No Dagster, no HTTP."""

from duomi_pipeline.ledger.database import LedgerError, LedgerUnavailableError
from duomi_pipeline.ledger.ledger import Held, Ledger
from duomi_pipeline.ledger.limits import LimitReached, Limits, NotYet, RepeatsUsedUp
from duomi_pipeline.ledger.records import Money, PictureFile, Post, Purchase, RunRecord, Selection

__all__ = [
    "Held",
    "Ledger",
    "LedgerError",
    "LedgerUnavailableError",
    "LimitReached",
    "Limits",
    "Money",
    "NotYet",
    "PictureFile",
    "Post",
    "Purchase",
    "RepeatsUsedUp",
    "RunRecord",
    "Selection",
]
