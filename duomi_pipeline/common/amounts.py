"""Sums in which one unknown part makes the whole unknown."""

from collections.abc import Iterable


def known_sum(amounts: Iterable[float | None]) -> float | None:
    """The sum of some amounts, `None` where one of them is unknown; 0 of none at all."""
    total = 0.0
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total
