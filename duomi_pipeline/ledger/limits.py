"""What may be sent: caps on money and pictures, and the pace, all sums over the journal of POSTs.

Checked by `Ledger.send` inside the transaction that writes the POST, so that two runs together never pass them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, func, or_, select

from duomi_pipeline.ledger.records import Billing, PurchaseState
from duomi_pipeline.ledger.schema import posts, purchases


@dataclass(frozen=True)
class Limits:
    """What may be sent: checked, and reserved, in the same transaction that writes the POST.

    Attributes:
        images_per_run, spend_per_run, spend_per_day: the user's caps; a day is a day of UTC.
        images_per_run_by: the name under which the user said the first.
        requests_per_minute, requests_per_day: the service's pace, over all runs on this ledger.
        price: of one picture, `None` where unknown.
        lost_answers: POSTs of one request that may be billed without a picture, before only the user may ask again.
    """

    images_per_run: int | None = None
    images_per_run_by: str = ""
    spend_per_run: float | None = None
    spend_per_day: float | None = None
    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    price: float | None = None
    currency: str = "CNY"
    lost_answers: int = 2


class LimitReached(Exception):  # noqa: N818
    """A cap would be passed: nothing was sent. The text names the setting, `advice` says what to do next."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class RepeatsUsedUp(Exception):  # noqa: N818
    """This request was, or may have been, billed without a picture as often as may be: nothing was sent."""

    def __init__(self, lost: int) -> None:
        super().__init__(
            f"no picture came of {lost} requests, each of which was or may have been billed; "
            "none is sent any more by itself"
        )
        self.lost = lost


class NotYet(Exception):  # noqa: N818
    """The requests of this minute are used up."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"next request in {seconds:.1f} s")
        self.seconds = seconds


def _day_start(now: float) -> float:
    return datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _total(column: Any, condition: Any) -> Select[Any]:
    return select(func.coalesce(func.sum(column), 0)).where(posts.c.billing != Billing.FREE, condition)


def _spend(condition: Any) -> Select[Any]:
    """The total of prices, and a currency among them that is not the settings'."""
    is_other = (posts.c.price > 0) & (posts.c.currency != bindparam("currency"))
    return _total(posts.c.price, condition).add_columns(func.max(case((is_other, posts.c.currency))))


# A purchase with pictures, or one that the user asked for knowingly, ends what was lost before it.
_NEW_START = select(func.coalesce(func.max(purchases.c.id), 0)).where(
    purchases.c.request_key == bindparam("request_key"),
    or_(purchases.c.state == PurchaseState.SAVED, purchases.c.asked_anew),
)
_LOST = (
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
_OPEN_OF_RUN = select(
    func.coalesce(func.sum(posts.c.pictures), 0).label("pictures"),
    func.coalesce(func.sum(posts.c.price), 0).label("price"),
).where(posts.c.billing == Billing.SENT, posts.c.run_id == bindparam("run_id"))
_IMAGES_OF_RUN = _total(posts.c.pictures, posts.c.run_id == bindparam("run_id"))
_SPEND_OF_RUN = _spend(posts.c.run_id == bindparam("run_id"))
_SPEND_OF_DAY = _spend(posts.c.sent_at >= bindparam("day_start"))


def check_caps(connection: Connection, run_id: str, asked: int, price: float, limits: Limits, now: float) -> None:
    """Raise `LimitReached` where this POST would pass a cap; open and lost POSTs count as spent.

    Amounts of two currencies have no sum: then a cap on money lets nothing through.
    """
    of: dict[str, Any] = {"run_id": run_id, "day_start": _day_start(now), "currency": limits.currency}
    again, tomorrow = "Start again, each run may use as much; or", "Start again after midnight UTC; or"
    caps = [
        (limits.images_per_run_by, limits.images_per_run, asked, _IMAGES_OF_RUN, "images", again),
        ("DUOMI_MAX_SPEND_PER_RUN", limits.spend_per_run, price, _SPEND_OF_RUN, limits.currency, again),
        ("DUOMI_MAX_SPEND_PER_DAY", limits.spend_per_day, price, _SPEND_OF_DAY, limits.currency, tomorrow),
    ]
    for setting, cap, more, total, unit, otherwise in caps:
        if cap is None:
            continue
        used, *others = connection.execute(total, of).one()
        if any(others):
            raise _in_two_currencies(setting, cap, limits.currency, others[0], otherwise)
        if used + more > cap + 1e-9:
            open_ones = connection.execute(_OPEN_OF_RUN, of).one()
            if used - (open_ones.pictures if unit == "images" else open_ones.price) + more <= cap + 1e-9:
                raise NotYet(_UNTIL_ANSWERED)  # what is on the wire may come back free
            message = f"{setting}={cap:g} is reached ({used:g} {unit} used)."
            raise LimitReached(message, f"{otherwise} raise {setting}.")


def _in_two_currencies(setting: str, cap: float, currency: str, other: str, otherwise: str) -> LimitReached:
    message = f"{setting}={cap:g} cannot be checked: what it counts was paid in {other}, and DUOMI_CURRENCY={currency}."
    return LimitReached(message, f"{otherwise} set DUOMI_CURRENCY={other} with its price, or unset {setting}.")


def check_repeats(connection: Connection, request_key: str, limits: Limits) -> None:
    """Raise `RepeatsUsedUp` where one more POST of this request could be one more bill without a picture."""
    if (lost := lost_answers(connection, request_key)) >= limits.lost_answers:
        raise RepeatsUsedUp(lost)


def lost_answers(connection: Connection, request_key: str) -> int:
    """POSTs of a request, by all runs, that were or may have been billed and gave no picture."""
    return int(connection.execute(_LOST, {"request_key": request_key}).scalar_one())


def check_pace(connection: Connection, limits: Limits, now: float) -> None:
    """Raise where the requests of this minute or this day are used up, whatever became of them."""
    if limits.requests_per_day is not None:
        sent = connection.execute(select(func.count()).where(posts.c.sent_at >= _day_start(now))).scalar_one()
        if sent >= limits.requests_per_day:
            tomorrow = datetime.fromtimestamp(_day_start(now) + 86_400, UTC)
            message = (
                f"The {limits.requests_per_day} requests of today are used up; continues after {tomorrow:%F %H:%M} UTC."
            )
            raise LimitReached(message, "Start again then, or raise DUOMI_REQUESTS_PER_DAY.")
    if limits.requests_per_minute is not None:
        recent = (
            select(posts.c.sent_at)
            .where(posts.c.sent_at > now - 60)
            .order_by(posts.c.sent_at.desc())
            .limit(limits.requests_per_minute)
        )
        times = connection.execute(recent).scalars().all()
        if len(times) >= limits.requests_per_minute:
            raise NotYet(max(times[-1] + 60 - now, 0.01))
