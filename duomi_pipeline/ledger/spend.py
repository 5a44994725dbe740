"""What was spent and how fast pictures came: read before more is bought, and by `duomi status --spend`.

Sums of a run or a day are kept in `totals`; those by model and source are made here, from the POSTs.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Float, Integer, String, bindparam, case, cast, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.records import Billing, Origin
from duomi_pipeline.ledger.schema import pictures, posts, prompts, purchases, runs, totals
from duomi_pipeline.ledger.totals import DAY, BillSum, bills_since

_LOOKED_THROUGH = 20_000  # latest paid requests among which those of a model are looked for
_MOST = 500  # of them that count for its pace


@dataclass(frozen=True)
class DaySpend:
    """What was sent on one day of UTC with one model for prompts of one source.

    Attributes:
        model: `None` where the record does not say.
        source: `database`, `json`, `single_prompt` or `probe` (of models); `None` where no picture is on record.
        is_sandbox: the sandbox answered: free.
        bill: its POSTs of one billing in one currency.
    """

    day: date
    model: str | None
    source: str | None
    is_sandbox: bool
    bill: BillSum


@dataclass(frozen=True)
class RunPace:
    """How fast one run got pictures of one model; of a large run its latest ones.

    Attributes:
        requests, pictures: that were paid and saved.
        seconds: from the first request until the last picture was saved.
        latency: mean seconds from a request until its pictures were saved.
    """

    requests: int
    pictures: int
    seconds: float
    latency: float


@dataclass(frozen=True)
class RunCost:
    """What one run was billed in one currency; `amount` is `None` where a price was not set."""

    pictures: int
    amount: float | None
    currency: str


class _Model(FunctionElement[str]):
    """The model in the JSON text of a request."""

    type = String()
    inherit_cache = True


@compiles(_Model)
def _model(element: _Model, compiler: SQLCompiler, **options: Any) -> str:
    request = compiler.process(element.clauses, **options)
    return f"CASE WHEN json_valid({request}) THEN json_extract({request}, '$.body.model') END"


@compiles(_Model, "postgresql")
def _model_on_postgresql(element: _Model, compiler: SQLCompiler, **options: Any) -> str:
    # A cast to JSON fails at a NUL in a prompt. Quotes in texts are escaped: only a key looks like this.
    request = compiler.process(element.clauses, **options)
    return f"""nullif(split_part(split_part({request}, '"model":"', 2), '"', 1), '')"""


class _Day(FunctionElement[int]):
    """The day of UTC of a time, counted from 1970, as `totals` has it."""

    type = Integer()
    inherit_cache = True


@compiles(_Day)
def _day(element: _Day, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} / {DAY} AS INTEGER)"


@compiles(_Day, "postgresql")
def _day_on_postgresql(element: _Day, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(floor({compiler.process(element.clauses, **options)} / {DAY}) AS INTEGER)"  # a cast alone rounds


def _has(field: str, value: str) -> ColumnElement[bool]:
    """Whether a request has a field with this value."""
    text = f"{json.dumps(field)}:{json.dumps(value, ensure_ascii=False)}"
    return purchases.c.request.contains(text, autoescape=True)


# What was sent since a day began, and for which prompt: those that reuse its pictures are others. Prompts are joined,
# because PostgreSQL may look for a single one among all pictures.
_SINCE = posts.c.sent_at >= bindparam("since")
_BOUGHT = (
    select(pictures.c.purchase_id, func.min(pictures.c.prompt_id).label("prompt_id"))
    .where(
        pictures.c.origin != Origin.REUSED,
        pictures.c.purchase_id >= select(func.min(posts.c.purchase_id)).where(_SINCE).scalar_subquery(),
    )
    .group_by(pictures.c.purchase_id)
    .subquery()
)
_SENT = (
    select(
        _Day(posts.c.sent_at).label("day"),
        _Model(purchases.c.request).label("model"),
        _BOUGHT.c.prompt_id,
        _has("host_kind", "sandbox").label("is_sandbox"),
        posts.c.billing,
        posts.c.currency,
        posts.c.pictures,
        posts.c.price,
    )
    .join_from(posts, purchases, purchases.c.id == posts.c.purchase_id)
    .join(_BOUGHT, _BOUGHT.c.purchase_id == posts.c.purchase_id, isouter=True)
    .where(posts.c.billing != Billing.FREE, _SINCE)
    .subquery()
)


class Spend:
    """Queries about money and time that were spent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, moment: float) -> tuple[BillSum, ...]:
        """Sums of the POSTs since the day of UTC began in which a moment (seconds since 1970) lies."""
        with self._database.read() as connection:
            return bills_since(connection, moment)

    def daily(self) -> dict[date, list[BillSum]]:
        """Sums of each day of UTC, the first day first; from `totals`, so at no cost that grows with the POSTs.

        Without what cost nothing: runs with the sandbox, and POSTs that were not billed.
        """
        of_run = (
            select(
                totals.c.day,
                totals.c.billing,
                totals.c.currency,
                func.sum(totals.c.posts).label("posts"),
                func.sum(totals.c.pictures).label("pictures"),
                func.sum(cast(totals.c.billionths, Float)).label("billionths"),
                func.sum(totals.c.unpriced).label("unpriced"),
            )
            .where(totals.c.billing != Billing.FREE)
            .group_by(totals.c.run_id, totals.c.day, totals.c.billing, totals.c.currency)
            .subquery()
        )
        key = (of_run.c.day, of_run.c.billing, of_run.c.currency)
        sums = (of_run.c.posts, of_run.c.pictures, of_run.c.billionths, of_run.c.unpriced)
        query = (
            select(*key, *map(func.sum, sums))
            .where((of_run.c.billionths > 0) | (of_run.c.unpriced > 0))
            .group_by(*key)
            .order_by(*key)
        )
        found: dict[date, list[BillSum]] = {}
        with self._database.read() as connection:
            for day, billing, currency, sent, bought, billionths, unpriced in connection.execute(query):
                bill = BillSum(billing, currency, int(sent), int(bought), billionths / 1e9, int(unpriced))
                found.setdefault(_date(day), []).append(bill)
        return found

    def by_day(self, moment: float = 0.0) -> list[DaySpend]:
        """The same by day, model and source, the latest day first; without POSTs that were not billed."""
        sent = _SENT
        of_id = [
            (sent.c.prompt_id.startswith(prefix, autoescape=True), kind)
            for prefix, kind in (("db_", "database"), ("json_", "json"), ("probe_", "probe"))
        ]
        kind = func.coalesce(prompts.c.kind, case(*of_id))  # a ledger that was rebuilt has no retired prompts
        parts = (sent.c.day, sent.c.model, kind.label("source"), sent.c.is_sandbox, sent.c.billing, sent.c.currency)
        query = (
            select(
                *parts,
                func.count(),
                func.sum(sent.c.pictures),
                # In billionths, as the triggers of `totals` count: whole numbers do not drift.
                func.sum(func.round(func.coalesce(sent.c.price, 0) * 1_000_000_000)) / 1e9,
                func.sum(case((sent.c.price.is_(None), sent.c.pictures), else_=0)),
            )
            .join_from(sent, prompts, prompts.c.prompt_id == sent.c.prompt_id, isouter=True)
            .group_by(*parts)
            .order_by(sent.c.day.desc(), sent.c.is_sandbox, sent.c.model, "source", sent.c.currency, sent.c.billing)
        )
        with self._database.read() as connection:
            return [
                DaySpend(_date(day), model, source, bool(is_sandbox), BillSum(*bill))
                for day, model, source, is_sandbox, *bill in connection.execute(query, {"since": moment // DAY * DAY})
            ]

    def paces(self, model: str, host_kind: str, most: int) -> list[RunPace]:
        """How fast the latest runs got pictures of a model, the latest first.

        Args:
            host_kind: `sandbox`, `local` or `service`.
            most: how many runs.
        """
        is_billed = posts.c.billing == Billing.BILLED
        # As a bound in time, not as rows: then those that count are found along an index, and no others are looked at.
        sent = posts.alias()
        last = select(sent.c.sent_at).where(sent.c.billing == Billing.BILLED).order_by(sent.c.sent_at.desc())
        since = func.coalesce(last.offset(_LOOKED_THROUGH - 1).limit(1).scalar_subquery(), 0.0)
        saved_at = (
            select(func.max(pictures.c.saved_at))
            .where(pictures.c.purchase_id == posts.c.purchase_id, pictures.c.origin == Origin.GENERATED)
            .scalar_subquery()
        )
        paid = (
            select(posts.c.run_id, posts.c.sent_at, posts.c.pictures, saved_at.label("saved_at"))
            # What another run finished waited for that run.
            .join(purchases, (purchases.c.id == posts.c.purchase_id) & (purchases.c.run_id == posts.c.run_id))
            .where(is_billed, posts.c.sent_at >= since)
            .where(_has("host_kind", host_kind), _has("model", model), saved_at.is_not(None))
            .order_by(posts.c.sent_at.desc())
            .limit(_MOST)
            .subquery()
        )
        began = func.min(paid.c.sent_at)
        query = (
            select(
                func.count(),
                func.sum(paid.c.pictures),
                func.max(paid.c.saved_at) - began,
                func.avg(paid.c.saved_at - paid.c.sent_at),
            )
            .group_by(paid.c.run_id)
            .order_by(began.desc())
            .limit(most)
        )
        with self._database.read() as connection:
            return [RunPace(*row) for row in connection.execute(query)]

    def run_costs(self, most: int, but: str | None = None) -> list[RunCost]:
        """What the latest runs that cost something were billed, the latest first.

        Args:
            most: how many.
            but: the id of a run that does not count.
        """
        amount, unpriced = func.sum(cast(totals.c.billionths, Float)) / 1e9, func.sum(totals.c.unpriced)
        query = (
            select(func.sum(totals.c.pictures), case((unpriced == 0, amount)), totals.c.currency)
            .join_from(totals, runs, runs.c.id == totals.c.run_id)
            .where(totals.c.billing == Billing.BILLED, runs.c.trigger != "rebuild", totals.c.run_id != (but or ""))
            .group_by(runs.c.id, runs.c.started_at, totals.c.currency)
            .having((amount > 0) | (unpriced > 0))
            .order_by(runs.c.started_at.desc(), runs.c.id)
            .limit(most)
        )
        with self._database.read() as connection:
            return [RunCost(*row) for row in connection.execute(query)]


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * DAY, UTC).date()
