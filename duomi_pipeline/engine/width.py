"""The concurrency of one run: one request first, then more, fewer when the service is overloaded."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HANDFUL = 5  # up to so many requests no canary is sent
TRUST = 600.0  # seconds after a sold picture in which no canary is sent
TOO_MANY = 0.25  # share of push-backs above which fewer requests are sent
ENOUGH = 0.04  # share of push-backs above which the width does not grow
_REMEMBERED = 64  # latest answers that count for the share
_FEWEST = 16  # answers needed before the width may be halved


class Throttle:
    """The width of one run (how many requests may be in flight), shared by its workers.

    The first request goes alone (a canary): an error that every request would get then costs one request. Each answer
    doubles the width up to `most`, until a large share of the answers are push-backs (429, 500, 503): then it is
    halved, and grows by one per round. A small share of push-backs does not reduce it: fewer requests would not help.

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
        self._share = 0.0  # of push-backs among the latest answers
        self._judged = 0  # answers since the width was last halved

    @property
    def width(self) -> int:
        """Requests that may be in flight now."""
        return int(self._width)

    @property
    def in_flight(self) -> int:
        """Requests in flight now, among them tasks that are waited for."""
        return self._in_flight

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Wait for a free slot and hold it. Yields whether a slot was granted: `False` once the run is stopped."""
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
        """Wake the waiting workers, so that they see that the run is stopped."""
        with self._changed:
            self._changed.notify_all()

    def answered(self) -> None:
        """Count a good answer: the width may grow."""
        with self._changed:
            self._note(pushed_back=False)
            if self._at_least() < ENOUGH:
                grown = self._width * 2 if self._doubles else self._width + 1 / self._width
                self._width = min(grown, float(self._most))
            self._changed.notify_all()

    def pushed_back(self) -> None:
        """Count a push-back: the service is overloaded."""
        with self._changed:
            self._note(pushed_back=True)
            if self._judged >= _FEWEST and self._at_least() > TOO_MANY:
                self._width = max(1.0, self._width / 2)
                self._doubles, self._share, self._judged = False, 0.0, 0

    def _note(self, *, pushed_back: bool) -> None:
        """Count an answer; the first ones have more weight, so that an overload at the start is noticed."""
        self._judged += 1
        self._share += (float(pushed_back) - self._share) / min(self._judged, _REMEMBERED)

    def _at_least(self) -> float:
        """The share of push-backs that is almost certain: three standard deviations below the measured one."""
        seen = min(self._judged, _REMEMBERED)
        return self._share - 3 * math.sqrt(self._share * (1 - self._share) / seen)
