"""What was asked, paid and saved. No Dagster, no HTTP."""

from duomi_pipeline.ledger.database import LedgerError, LedgerLostError, LedgerUnavailableError
from duomi_pipeline.ledger.ledger import Held, Ledger
from duomi_pipeline.ledger.limits import LimitReached, Limits, NotYet, RepeatsUsedUp
from duomi_pipeline.ledger.records import Cost, Money, PaidAnswer, PictureFile, Post, Purchase, RunRecord, Selection
from duomi_pipeline.ledger.repair import FoundPurchase

__all__ = [
    "Cost",
    "FoundPurchase",
    "Held",
    "Ledger",
    "LedgerError",
    "LedgerLostError",
    "LedgerUnavailableError",
    "LimitReached",
    "Limits",
    "Money",
    "NotYet",
    "PaidAnswer",
    "PictureFile",
    "Post",
    "Purchase",
    "RepeatsUsedUp",
    "RunRecord",
    "Selection",
]
