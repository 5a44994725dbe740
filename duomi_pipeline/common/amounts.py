"""Sums that are unknown as soon as one part is unknown."""

from collections.abc import Iterable
from math import fsum


def known_sum(amounts: Iterable[float | None]) -> float | None:
    """The sum of some amounts: `None` if one of them is unknown, 0 if there are none."""
    known: list[float] = []
    for amount in amounts:
        if amount is None:
            return None
        known.append(amount)
    return fsum(known)  # 301 times 0.1 is 30.1
