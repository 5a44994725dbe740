"""How many requests may be in flight: one first, then more and more, fewer when the service is too busy."""

import threading
import time

HANDFUL = 5  # requests that are sent without a canary
ONE_PUSH = 1.0  # seconds in which several push-backs count as one: they answer the same burst


class Throttle:
    """The width of one run, shared by its workers.

    The first request goes alone (a canary): what every request would fail with then costs one. Each success
    doubles the width up to `most`. A push-back (429, 503) halves it; from then on it grows by one per round.

    Args:
        most: requests in flight at most.
        requests: how many will be sent; a handful needs no canary.
    """

    def __init__(self, most: int, requests: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._width = 1.0 if requests > HANDFUL else float(most)
        self._doubles = True
        self._last_push = 0.0

    @property
    def width(self) -> int:
        """Requests that may be in flight now."""
        return int(self._width)

    def succeeded(self) -> None:
        """A request was answered as it should."""
        with self._lock:
            grown = self._width * 2 if self._doubles else self._width + 1 / self._width
            self._width = min(grown, float(self._most))

    def pushed_back(self) -> None:
        """The service said that it has too much to do."""
        with self._lock:
            now = time.monotonic()
            if now - self._last_push >= ONE_PUSH:
                self._width = max(1.0, self._width / 2)
                self._doubles = False
                self._last_push = now
