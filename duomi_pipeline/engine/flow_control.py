"""When a request may start: a place in flight, its turn, and whether the run still goes on. Owned by the batch."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from duomi_pipeline.engine.rate import Pace
from duomi_pipeline.engine.width import Throttle
from duomi_pipeline.settings import Settings


class FlowControl:
    """One run's, shared by its workers.

    Args:
        settings: with the user's delay and concurrency.
        requests: how many will be sent.
        trusted: whether the service sold a picture under these settings just now.

    Attributes:
        stopped: set when no further request may start.
        hurried: set when nothing is to be waited for any more.
        width: how many requests may be in flight.
        pace: how fast they start.
    """

    def __init__(self, settings: Settings, requests: int, *, trusted: bool) -> None:
        self.stopped, self.hurried = threading.Event(), threading.Event()
        self.width = Throttle(settings.max_concurrency, requests, self.stopped, trusted=trusted)
        self.pace = Pace(settings.delay, self.stopped)

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Wait for a place in flight and for its turn. Yields whether a request may start: not once it is stopped."""
        with self.width.slot() as granted:
            yield granted and self.pace.wait_turn()

    def stop(self, *, hurry: bool) -> None:
        """Let no further request start, and those who wait see it."""
        self.stopped.set()
        if hurry:
            self.hurried.set()
        self.width.wake()
