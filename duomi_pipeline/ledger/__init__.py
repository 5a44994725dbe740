"""The ledger: a database of what was requested, paid and saved. No Dagster, no HTTP."""

from duomi_pipeline.ledger.database import ConnectionLostError, LedgerError, LedgerLostError, LedgerUnavailableError
from duomi_pipeline.ledger.figures import Figures
from duomi_pipeline.ledger.leases import Life
from duomi_pipeline.ledger.ledger import Held, Ledger
from duomi_pipeline.ledger.limits import LimitReached, Limits, NotYet, RepeatsUsedUp
from duomi_pipeline.ledger.records import (
    Billing,
    Cost,
    Look,
    Money,
    Origin,
    PaidAnswer,
    PictureFile,
    Post,
    Purchase,
    PurchaseState,
    RegisteredPrompt,
    RunRecord,
    Selection,
    Source,
    Standing,
)
from duomi_pipeline.ledger.register import Changes, Holdings, Known, Register
from duomi_pipeline.ledger.repair import FoundPurchase
from duomi_pipeline.ledger.shown import PictureLook
from duomi_pipeline.ledger.spend import DaySpend, RunCost, RunPace
from duomi_pipeline.ledger.stamps import Mark
from duomi_pipeline.ledger.totals import BillSum

__all__ = [
    "BillSum",
    "Billing",
    "Changes",
    "ConnectionLostError",
    "Cost",
    "DaySpend",
    "Figures",
    "FoundPurchase",
    "Held",
    "Holdings",
    "Known",
    "Ledger",
    "LedgerError",
    "LedgerLostError",
    "LedgerUnavailableError",
    "Life",
    "LimitReached",
    "Limits",
    "Look",
    "Mark",
    "Money",
    "NotYet",
    "Origin",
    "PaidAnswer",
    "PictureFile",
    "PictureLook",
    "Post",
    "Purchase",
    "PurchaseState",
    "Register",
    "RegisteredPrompt",
    "RepeatsUsedUp",
    "RunCost",
    "RunPace",
    "RunRecord",
    "Selection",
    "Source",
    "Standing",
]
