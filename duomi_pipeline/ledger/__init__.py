"""The ledger: a database of what was requested, paid and saved. No Dagster, no HTTP."""

from duomi_pipeline.ledger.database import LedgerError, LedgerLostError, LedgerUnavailableError
from duomi_pipeline.ledger.figures import BillSum, Figures
from duomi_pipeline.ledger.leases import Life
from duomi_pipeline.ledger.ledger import Held, Ledger
from duomi_pipeline.ledger.limits import LimitReached, Limits, NotYet, RepeatsUsedUp
from duomi_pipeline.ledger.records import (
    Billing,
    Cost,
    Money,
    Origin,
    PaidAnswer,
    PictureFile,
    Post,
    Purchase,
    PurchaseState,
    RunRecord,
    Selection,
)
from duomi_pipeline.ledger.repair import FoundPurchase

__all__ = [
    "BillSum",
    "Billing",
    "Cost",
    "Figures",
    "FoundPurchase",
    "Held",
    "Ledger",
    "LedgerError",
    "LedgerLostError",
    "LedgerUnavailableError",
    "Life",
    "LimitReached",
    "Limits",
    "Money",
    "NotYet",
    "Origin",
    "PaidAnswer",
    "PictureFile",
    "Post",
    "Purchase",
    "PurchaseState",
    "RepeatsUsedUp",
    "RunRecord",
    "Selection",
]
