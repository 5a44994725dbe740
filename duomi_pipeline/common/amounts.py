"""Sums that are unknown as soon as one part is unknown."""

from collections.abc import Iterable


def known_sum(amounts: Iterable[float | None]) -> float | None:
    """The sum of some amounts: `None` if one of them is unknown, 0 if there are none."""
    total = 0.0
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total
