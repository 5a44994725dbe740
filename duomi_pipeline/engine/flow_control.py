"""Flow control of one run: when may the next request start? Combines `width` (concurrency), `rate` and stopping."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from duomi_pipeline.engine.rate import Pace
from duomi_pipeline.engine.waits import Waits
from duomi_pipeline.engine.width import Throttle
from duomi_pipeline.settings import Settings


class FlowControl:
    """The flow control of one run, shared by its workers.

    Args:
        settings: with the user's delay and concurrency.
        requests: how many will be sent.
        waits: how long to wait between retries.
        trusted: whether the service sold a picture under these settings just now.

    Attributes:
        stopped: set when no further request may start.
        hurried: set when the run must end without waiting.
        width: how many requests may be in flight.
        pace: how fast they start.
        waits: how long to wait between retries.
    """

    def __init__(self, settings: Settings, requests: int, waits: Waits, *, trusted: bool) -> None:
        self.stopped, self.hurried = threading.Event(), threading.Event()
        self.waits = waits
        most = min(settings.max_concurrency, settings.requests_in_flight or settings.max_concurrency)
        self.width = Throttle(most, requests, self.stopped, trusted=trusted)
        self.pace = Pace(settings.delay, self.stopped)

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Wait for a free slot and for the rate limit. Yields whether the request may start: `False` after a stop."""
        with self.width.slot() as granted:
            yield granted and self.pace.wait_turn()

    def stop(self, *, hurry: bool) -> None:
        """Let no further request start, and wake the workers that wait.

        Args:
            hurry: also end waiting for tasks and downloads.
        """
        self.stopped.set()
        if hurry:
            self.hurried.set()
        self.width.wake()
