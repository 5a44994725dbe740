"""The rate limit of one run: the user's delay between requests, and the pauses that the service asks for."""

import threading
import time

MAX_PAUSE = 300.0  # seconds


class Pace:
    """The rate limit of one run, shared by its workers.

    Args:
        delay: seconds between two starts of requests.
        stopped: set when no further request may start.
    """

    def __init__(self, delay: float, stopped: threading.Event) -> None:
        self._delay = delay
        self._stopped = stopped
        self._lock = threading.Lock()
        self._next_start = 0.0

    def wait_turn(self) -> bool:
        """Wait until a request may start. Returns `False` if the run was stopped meanwhile."""
        with self._lock:
            start = max(time.monotonic(), self._next_start)
            self._next_start = start + self._delay
        return not self._stopped.wait(max(0.0, start - time.monotonic()))

    def pause(self, seconds: float) -> None:
        """Start no request for some seconds, because the service asked for it."""
        with self._lock:
            self._next_start = max(self._next_start, time.monotonic() + min(seconds, MAX_PAUSE))
