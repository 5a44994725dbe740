"""The circuit breaker: many failures of one class in a row, and no success, stop the run."""

import threading
from collections import Counter

from duomi_pipeline.duomi import DuomiError
from duomi_pipeline.engine.outcome import Stop

# Failures in a row, by error class. Those that may have cost money count most.
_LIMITS = {"busy": 20, "rate": 50, "ambiguous": 5, "bad_image": 8, "not_downloaded": 12, "task_failed": 8}


class Breaker:
    """Counts failures since the last success; shared by the workers of one run.

    Args:
        concurrency: requests in flight; so many can fail together without meaning more than one.
    """

    def __init__(self, concurrency: int) -> None:
        self._spare = concurrency
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()

    def succeeded(self) -> None:
        """A picture was made: the service works."""
        with self._lock:
            self._failures.clear()

    def failed(self, error: DuomiError) -> Stop | None:
        """Count a failure. Returns why to stop, once there are too many."""
        limit = _LIMITS.get(error.error_class)
        if limit is None:
            return None
        with self._lock:
            self._failures[error.error_class] += 1
            count = self._failures[error.error_class]
        if count < limit + self._spare:
            return None
        return Stop(
            "service", f"{count} requests in a row failed the same way; start again later. The last one: {error}"
        )
