"""How many requests the caps would let through. What counts is what `ledger.limits` checks before each request."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.ledger import Billing, BillSum, Ledger
from duomi_pipeline.settings import Settings


@dataclass(frozen=True)
class _Cap:
    """A cap, and how much it still allows in the unit of `weight`."""

    setting: str
    left: float
    weight: Callable[[ImageRequest], float]

    def lets_through(self, requests: Sequence[ImageRequest]) -> int:
        """How many of these requests are sent before it is reached."""
        used = 0.0
        for number, request in enumerate(requests):
            used += self.weight(request)
            if used > self.left + 1e-9:
                return number
        return len(requests)


def first_cap(
    ledger: Ledger, settings: Settings, requests: Sequence[ImageRequest], max_images: int | None = None, runs: int = 1
) -> tuple[int, str]:
    """How many requests are sent before a cap is reached, and which; all of them, and none, where none is.

    Args:
        max_images: the run's own cap on pictures.
        runs: among how many runs they are shared out; each may use the caps of a run.
    """
    found = [(cap.lets_through(requests), cap.setting) for cap in _caps(ledger, settings, max_images, runs)]
    return min([*found, (len(requests), "")])


def _caps(ledger: Ledger, settings: Settings, max_images: int | None, runs: int) -> Iterator[_Cap]:
    for setting, cap, weight in (
        ("DUOMI_MAX_IMAGES_PER_RUN", settings.max_images_per_run, _pictures),
        ("max_images", max_images, _pictures),
        ("DUOMI_MAX_SPEND_PER_RUN", settings.max_spend_per_run, _price),
    ):
        if cap is not None:
            yield _Cap(f"{setting}={cap:g}", cap * runs, weight)
    today = ledger.spend.since(time.time())
    if (most := settings.max_spend_per_day) is not None:
        yield _Cap(f"DUOMI_MAX_SPEND_PER_DAY={most:g}", _money_left(most, today, settings.currency), _price)
    if (most_requests := settings.requests_per_day) is not None:
        left = most_requests - sum(bill.posts for bill in today)
        yield _Cap(f"DUOMI_REQUESTS_PER_DAY={most_requests}", left, lambda _: 1)


def _pictures(request: ImageRequest) -> float:
    return request.pictures


def _price(request: ImageRequest) -> float:
    return request.cost or 0.0  # under a cap on money none without a price is sent


def _money_left(most: float, today: Sequence[BillSum], currency: str) -> float:
    """What a cap still allows; beside another currency nothing."""
    counting = [bill for bill in today if bill.billing != Billing.FREE]
    if any(bill.amount > 0 and bill.currency != currency for bill in counting):
        return -1.0
    return most - sum(bill.amount for bill in counting)
