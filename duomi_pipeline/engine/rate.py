"""How fast requests start: the user's delay, and the pauses that the service asks for."""

import threading
import time

MAX_PAUSE = 300.0  # seconds


class Pace:
    """One run's pace, shared by its workers.

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
        """Wait until a request may start. Returns whether it still may: `False` once the run is stopped."""
        with self._lock:
            start = max(time.monotonic(), self._next_start)
            self._next_start = start + self._delay
        return not self._stopped.wait(max(0.0, start - time.monotonic()))

    def pause(self, seconds: float) -> None:
        """Start nothing for a while: the service said that it is too fast."""
        with self._lock:
            self._next_start = max(self._next_start, time.monotonic() + min(seconds, MAX_PAUSE))
