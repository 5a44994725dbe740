"""How many requests may be in flight: one first, then more and more, fewer when the service is too busy."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HANDFUL = 5  # requests that are sent without a canary
TRUST = 600.0  # seconds for which a sold picture stands for the next ones
TOO_MANY = 0.25  # share of push-backs above which fewer requests are sent
ENOUGH = 0.04  # share of push-backs from which on no more are sent than now
_REMEMBERED = 64  # answers that the share is taken of
_FEWEST = 16  # answers before a width is judged


class Throttle:
    """The width of one run, shared by its workers.

    The first request goes alone (a canary): what every request would fail with then costs one. Each answer doubles
    the width up to `most`, until a large share of the answers are push-backs (429, 500, 503): then it is halved, and
    grows by one per round. A service that answers one in ten so is no less busy with fewer requests at a time; one
    that is asked too much answers most of them so.

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
            self._note(pushed_back=False)
            if self._at_least() < ENOUGH:
                grown = self._width * 2 if self._doubles else self._width + 1 / self._width
                self._width = min(grown, float(self._most))
            self._changed.notify_all()

    def pushed_back(self) -> None:
        """The service said that it has too much to do."""
        with self._changed:
            self._note(pushed_back=True)
            if self._judged >= _FEWEST and self._at_least() > TOO_MANY:
                self._width = max(1.0, self._width / 2)
                self._doubles, self._share, self._judged = False, 0.0, 0

    def _note(self, *, pushed_back: bool) -> None:
        """Count an answer; the first ones count in full, so that a service that is full from the start is believed."""
        self._judged += 1
        self._share += (float(pushed_back) - self._share) / min(self._judged, _REMEMBERED)

    def _at_least(self) -> float:
        """The share of push-backs that is almost certain: three standard deviations below the one that was seen."""
        seen = min(self._judged, _REMEMBERED)
        return self._share - 3 * math.sqrt(self._share * (1 - self._share) / seen)
