"""Sums over the POSTs at a cost that does not grow with their number: by run or by day, currency and billing.

Triggers (migration 0006) keep them in the table `totals`, in the transaction that changes a POST. Money is summed up in
billionths of the currency, whole numbers: a sum to which floating-point amounts are added and taken away drifts.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Float, Select, bindparam, cast, func, select

from duomi_pipeline.ledger.records import Billing
from duomi_pipeline.ledger.schema import totals

DAY = 86_400  # seconds


@dataclass(frozen=True)
class BillSum:
    """POSTs of one billing in one currency.

    Attributes:
        posts: how many.
        pictures: how many pictures they asked for.
        amount: their known prices together.
        unpriced: pictures of POSTs whose price was not set.
    """

    billing: Billing
    currency: str
    posts: int
    pictures: int
    amount: float
    unpriced: int


_OF_ALL = (
    select(
        totals.c.billing,
        totals.c.currency,
        func.sum(totals.c.posts),
        func.sum(totals.c.pictures),
        # As floats: whole numbers up to 9 million of the currency are exact, and larger ones do not overflow.
        func.sum(cast(totals.c.billionths, Float)) / 1e9,
        func.sum(totals.c.unpriced),
    )
    .group_by(totals.c.billing, totals.c.currency)
    .having(func.sum(totals.c.posts) != 0)
)
_OF_RUN = _OF_ALL.where(totals.c.run_id == bindparam("run_id"))
_SINCE = _OF_ALL.where(totals.c.day >= bindparam("day"))


def bills(connection: Connection) -> tuple[BillSum, ...]:
    """Of all POSTs."""
    return _sums(connection, _OF_ALL)


def bills_of_run(connection: Connection, run_id: str) -> tuple[BillSum, ...]:
    """Of the POSTs of one run."""
    return _sums(connection, _OF_RUN, run_id=run_id)


def bills_since(connection: Connection, moment: float) -> tuple[BillSum, ...]:
    """Of the POSTs sent since the day of UTC began in which a moment (seconds since 1970) lies."""
    return _sums(connection, _SINCE, day=int(moment // DAY))


def _sums(connection: Connection, query: Select[Any], **of: Any) -> tuple[BillSum, ...]:
    return tuple(BillSum(*row) for row in connection.execute(query, of))
