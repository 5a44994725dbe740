"""How long a run waits before it tries something again by itself, where neither settings nor the service say it."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Waits:
    """Seconds.

    Attributes:
        first_backoff: before the second try of a request; it doubles with each further one.
        max_backoff: at most so long.
        held: between two checks of a request that another run is buying.
    """

    first_backoff: float = 1.0
    max_backoff: float = 60.0
    held: float = 0.5

    def backoff(self, attempt: int) -> float:
        """Before the next try: growing, with jitter so that workers do not come back together."""
        longest = min(self.first_backoff * 2.0 ** (attempt - 1), self.max_backoff)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311


WAITS = Waits()
