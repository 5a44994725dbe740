"""Caps on money and pictures, and rate limits: all are sums over the recorded POSTs, most of them kept in `totals`.

Checked by `Ledger.send` in the transaction that records the POST. It holds the locks of the sums that it compares
(`locks`) until the POST is in them, so that parallel runs together never exceed a limit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from sqlalchemy import Connection, bindparam, func, or_, select

from duomi_pipeline.common.text import counted
from duomi_pipeline.ledger.records import Billing, PurchaseState
from duomi_pipeline.ledger.schema import OPEN_STATES, UNANSWERED, posts, purchases
from duomi_pipeline.ledger.totals import DAY, BillSum, bills_of_run, bills_since


@dataclass(frozen=True)
class Limits:
    """The limits of a run, from the settings.

    Attributes:
        images_per_run, spend_per_run, spend_per_day: the user's caps; a day is a day of UTC.
        images_per_run_by: name of the setting or flag that set the first.
        requests_per_minute, requests_per_day: rate limits, over all runs on this ledger.
        requests_in_flight: POSTs without an answer, over all runs on this ledger.
        price: of one picture, `None` if unknown.
        lost_answers: most POSTs of one request that may be billed without a picture; more only if the user says so.
    """

    images_per_run: int | None = None
    images_per_run_by: str = ""
    spend_per_run: float | None = None
    spend_per_day: float | None = None
    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    requests_in_flight: int | None = None
    price: float | None = None
    currency: str = "CNY"
    lost_answers: int = 2

    def locks(self, run_id: str) -> list[str]:
        """The names of the sums that count for a POST of a run: see `database`."""
        of_run = (self.images_per_run, self.spend_per_run)
        of_all = (self.spend_per_day, self.requests_per_minute, self.requests_per_day, self.requests_in_flight)
        names = [f"limits of {run_id}"] if any(limit is not None for limit in of_run) else []
        return [*names, "limits"] if any(limit is not None for limit in of_all) else names


class LimitReached(Exception):  # noqa: N818
    """A cap would be exceeded: nothing was sent. The text names the setting; `advice`: what to do next."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class RepeatsUsedUp(Exception):  # noqa: N818
    """This request was or may have been billed without a picture as often as allowed: nothing was sent."""

    def __init__(self, lost: int) -> None:
        super().__init__(
            f"{counted(lost, 'request')} gave no picture and {'was' if lost == 1 else 'were'} or may have been billed; "
            "no more are sent automatically"
        )
        self.lost = lost


class NotYet(Exception):  # noqa: N818
    """The requests of this minute, or under a cap, are used up for now; `seconds`: when to try again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"next request in {seconds:.1f} s")
        self.seconds = seconds


# Lost answers count since the last purchase that gave pictures or that the user requested again.
_NEW_START = select(func.coalesce(func.max(purchases.c.id), 0)).where(
    purchases.c.request_key == bindparam("request_key"),
    or_(purchases.c.state == PurchaseState.SAVED, purchases.c.asked_anew),
)
LOST = (
    select(func.count())
    .select_from(posts.join(purchases, purchases.c.id == posts.c.purchase_id))
    .where(
        purchases.c.request_key == bindparam("request_key"),
        purchases.c.id >= _NEW_START.scalar_subquery(),
        purchases.c.state != PurchaseState.SAVED,
        posts.c.billing != Billing.FREE,
    )
)
_UNTIL_ANSWERED = 0.3  # seconds
_ON_THE_WIRE = 60.0  # seconds for which the service may still work on the POST of a run that died
_AHEAD = 60.0  # seconds by which clocks may differ; later than that sends only one that was set back since


def check_caps(connection: Connection, run_id: str, asked: int, price: float, limits: Limits, now: float) -> None:
    """Raise `LimitReached` if this POST would exceed a cap; POSTs in flight and lost ones count as spent.

    Amounts in two currencies have no sum: then a cap on money allows nothing.
    """
    of_run = cache(lambda: bills_of_run(connection, run_id))
    today = cache(lambda: bills_since(connection, now))
    again, tomorrow = "Start again, each run may use as much; or", "Start again after midnight UTC; or"
    caps = [
        (limits.images_per_run_by, limits.images_per_run, asked, of_run, "images", again),
        ("DUOMI_MAX_SPEND_PER_RUN", limits.spend_per_run, price, of_run, limits.currency, again),
        ("DUOMI_MAX_SPEND_PER_DAY", limits.spend_per_day, price, today, limits.currency, tomorrow),
    ]
    for setting, cap, more, bills, unit, otherwise in caps:
        if cap is None:
            continue
        counting = [bill for bill in bills() if bill.billing != Billing.FREE]
        others = {bill.currency for bill in counting if bill.amount > 0} - {limits.currency}
        if unit != "images" and others:
            raise _in_two_currencies(setting, cap, limits.currency, max(others), otherwise)
        used = _used(counting, unit)
        if used + more > cap + 1e-9:
            in_flight = _used([bill for bill in of_run() if bill.billing == Billing.SENT], unit)
            if used - in_flight + more <= cap + 1e-9:
                raise NotYet(_UNTIL_ANSWERED)  # requests in flight may turn out to be free
            message = f"{setting}={cap:g} is reached ({used:g} {unit} used)."
            raise LimitReached(message, f"{otherwise} raise {setting}.")


def _used(bills: Sequence[BillSum], unit: str) -> float:
    return sum(bill.pictures if unit == "images" else bill.amount for bill in bills)


def _in_two_currencies(setting: str, cap: float, currency: str, other: str, otherwise: str) -> LimitReached:
    message = f"{setting}={cap:g} cannot be checked: what it counts was paid in {other}, and DUOMI_CURRENCY={currency}."
    return LimitReached(message, f"{otherwise} set DUOMI_CURRENCY={other} with its price, or unset {setting}.")


def check_repeats(connection: Connection, request_key: str, limits: Limits) -> None:
    """Raise `RepeatsUsedUp` if this request was or may have been billed without a picture as often as allowed."""
    if (lost := lost_answers(connection, request_key)) >= limits.lost_answers:
        raise RepeatsUsedUp(lost)


def lost_answers(connection: Connection, request_key: str) -> int:
    """Number of POSTs of a request, by all runs, that were or may have been billed and gave no picture."""
    return int(connection.execute(LOST, {"request_key": request_key}).scalar_one())


_IN_FLIGHT = (
    select(posts.c.run_id, posts.c.sent_at)
    .join(purchases, purchases.c.id == posts.c.purchase_id)
    .where(
        # The literal words of the index of unanswered POSTs, which are few.
        posts.c.billing.in_(bindparam("unanswered", list(UNANSWERED), expanding=True, literal_execute=True)),
        posts.c.answered_at.is_(None),
        purchases.c.state.in_(OPEN_STATES),
        # Ambiguous: of a killed run, and taken over. Nobody was left to note an answer, and the service may still work.
        (posts.c.billing == Billing.AMBIGUOUS) | (purchases.c.state == PurchaseState.SUBMITTING),
    )
)


def check_in_flight(
    connection: Connection, limits: Limits, now: float, is_alive: Callable[[Connection, str], bool]
) -> None:
    """Raise `NotYet` if as many POSTs as allowed wait for their answers.

    Those of a dead run count for a minute after they were sent: the service does not know of its death.
    """
    if limits.requests_in_flight is None:
        return
    sent = connection.execute(_IN_FLIGHT).all()
    if len(sent) < limits.requests_in_flight:  # no need to ask who lives
        return
    living = {run_id for run_id in {row.run_id for row in sent} if is_alive(connection, run_id)}
    recent = [now - _ON_THE_WIRE < row.sent_at < now + _AHEAD for row in sent]
    if sum(row.run_id in living or new for row, new in zip(sent, recent, strict=True)) >= limits.requests_in_flight:
        raise NotYet(_UNTIL_ANSWERED)


def check_rate(connection: Connection, limits: Limits, now: float) -> None:
    """Raise `NotYet` or `LimitReached` if the requests of this minute or day are used up, whatever their results."""
    if limits.requests_per_day is not None:
        sent = sum(bill.posts for bill in bills_since(connection, now))
        if sent >= limits.requests_per_day:
            tomorrow = datetime.fromtimestamp((now // DAY + 1) * DAY, UTC)
            message = (
                f"DUOMI_REQUESTS_PER_DAY={limits.requests_per_day} is reached; continues after {tomorrow:%F %H:%M} UTC."
            )
            raise LimitReached(message, "Start again then, or raise DUOMI_REQUESTS_PER_DAY.")
    if limits.requests_per_minute is not None:
        recent = (
            select(posts.c.sent_at)
            .where(posts.c.sent_at > now - 60, posts.c.sent_at < now + _AHEAD)
            .order_by(posts.c.sent_at.desc())
            .limit(limits.requests_per_minute)
        )
        times = connection.execute(recent).scalars().all()
        if len(times) >= limits.requests_per_minute:
            raise NotYet(max(times[-1] + 60 - now, 0.01))
