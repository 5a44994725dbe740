"""How many requests may be in flight: one first, then more and more, fewer when the service is too busy."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HANDFUL = 5  # requests that are sent without a canary
TRUST = 600.0  # seconds for which a sold picture stands for the next ones
ONE_PUSH = 1.0  # seconds in which several push-backs count as one: they answer the same burst


class Throttle:
    """The width of one run, shared by its workers.

    The first request goes alone (a canary): what every request would fail with then costs one. Each answer
    doubles the width up to `most`. A push-back (429, 503) halves it; from then on it grows by one per round.
    A handful of requests, or a service that sold a picture under these settings just now, needs no canary.

    Args:
        most: requests in flight at most.
        requests: how many will be sent.
        trusted: whether the service sold a picture under these settings just now.
        stopped: set when no further request may start.
    """

    def __init__(self, most: int, requests: int, stopped: threading.Event, *, trusted: bool) -> None:
        self._most = most
        self._stopped = stopped
        self._changed = threading.Condition()
        self._width = 1.0 if requests > HANDFUL and not trusted else float(most)
        self._in_flight = 0
        self._doubles = True
        self._last_push = 0.0

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Wait for a place in flight, and hold it. Gives whether there is one: `False` once the run is stopped."""
        with self._changed:
            while self._in_flight >= int(self._width) and not self._stopped.is_set():
                self._changed.wait()
            self._in_flight += 1
        try:
            yield not self._stopped.is_set()
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def wake(self) -> None:
        """Let those who wait see that the run is stopped."""
        with self._changed:
            self._changed.notify_all()

    def answered(self) -> None:
        """A request was answered as it should: the service can take more."""
        with self._changed:
            grown = self._width * 2 if self._doubles else self._width + 1 / self._width
            self._width = min(grown, float(self._most))
            self._changed.notify_all()

    def pushed_back(self) -> None:
        """The service said that it has too much to do."""
        with self._changed:
            now = time.monotonic()
            if now - self._last_push >= ONE_PUSH:
                self._width = max(1.0, self._width / 2)
                self._doubles = False
                self._last_push = now
