"""Sums over the whole ledger, for monitoring: `LedgerReader.figures`. What single prompts need is in `queries`."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from duomi_pipeline.ledger.records import Origin, PurchaseState
from duomi_pipeline.ledger.schema import pictures, purchases, runs
from duomi_pipeline.ledger.totals import BillSum, bills, bills_since


@dataclass(frozen=True)
class Figures:
    """Sums at one moment.

    Attributes:
        saved: picture files ever recorded, by origin.
        saved_lately: generated picture files recorded since the given time.
        last_saved_at: when the latest one was recorded, in seconds since 1970.
        bills: of all POSTs; `bills_today`: of those sent since the given day of UTC began.
        purchases: the latest purchase of each request, by state and error class.
        oldest_ready_at: when the oldest addresses of paid pictures that are not yet saved were received.
        unended: ids of runs whose end is not recorded; a killed run stays one.
        last_run_ended_at, last_run_stopped_by: of the run that ended last; nobody stopped it: `None`.
    """

    saved: Mapping[Origin, int]
    saved_lately: int
    last_saved_at: float | None
    bills: tuple[BillSum, ...]
    bills_today: tuple[BillSum, ...]
    purchases: Mapping[tuple[PurchaseState, str | None], int]
    oldest_ready_at: float | None
    unended: tuple[str, ...]
    last_run_ended_at: float | None
    last_run_stopped_by: str | None


def read_figures(connection: Connection, *, day: float, lately: float) -> Figures:
    """See `LedgerReader.figures`."""
    saved = select(pictures.c.origin, func.count()).group_by(pictures.c.origin)
    recent = select(func.count()).where(pictures.c.saved_at >= lately, pictures.c.origin == Origin.GENERATED)
    latest = select(func.max(purchases.c.id)).group_by(purchases.c.request_key)
    standing = (
        select(purchases.c.state, purchases.c.error_class, func.count())
        .where(purchases.c.id.in_(latest))
        .group_by(purchases.c.state, purchases.c.error_class)
    )
    ready = select(func.min(purchases.c.answered_at)).where(purchases.c.state == PurchaseState.READY)
    ended = (
        select(runs.c.ended_at, runs.c.stopped_by)
        .where(runs.c.ended_at.is_not(None))
        .order_by(runs.c.ended_at.desc())
        .limit(1)
    )
    last = connection.execute(ended).first()
    return Figures(
        saved=dict(connection.execute(saved).tuples().all()),
        saved_lately=connection.execute(recent).scalar_one(),
        last_saved_at=connection.execute(select(func.max(pictures.c.saved_at))).scalar(),
        bills=bills(connection),
        bills_today=bills_since(connection, day),
        purchases={(state, kind): count for state, kind, count in connection.execute(standing)},
        oldest_ready_at=connection.execute(ready).scalar(),
        unended=tuple(connection.execute(select(runs.c.id).where(runs.c.ended_at.is_(None))).scalars()),
        last_run_ended_at=last[0] if last else None,
        last_run_stopped_by=last[1] if last else None,
    )
