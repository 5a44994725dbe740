"""Who of this process's threads uses the database next: what has arrived is recorded before anything new is begun."""

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """Lets some threads at a time through: urgent ones first, else in the order in which they came.

    Args:
        width: how many at a time.
        finish: called at the end of each turn, unless the next one continues it.
        can_continue: whether the next turn may continue what this one has begun.
    """

    def __init__(
        self,
        width: int,
        finish: Callable[[], None] = lambda: None,
        can_continue: Callable[[], bool] = lambda: False,
    ) -> None:
        self._free = width
        self._finish = finish
        self._can_continue = can_continue
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._queue: list[tuple[bool, int, threading.Event]] = []

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._queue)

    @contextmanager
    def turn(self, *, urgent: bool = False) -> Iterator[None]:
        """Wait for a turn, and hold it inside the block."""
        self._enter(urgent=urgent)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, *, urgent: bool) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = (not urgent, next(self._order), threading.Event())
            heapq.heappush(self._queue, mine)
        try:
            mine[2].wait()
        except BaseException:  # Ctrl-C
            with self._lock:
                was_waiting = mine in self._queue
                if was_waiting:
                    self._queue.remove(mine)
                    heapq.heapify(self._queue)
            if not was_waiting:
                self._leave()
            raise

    def _leave(self) -> None:
        with self._lock:
            if self._queue and self._can_continue():
                heapq.heappop(self._queue)[2].set()
                return
        try:
            self._finish()
        finally:
            with self._lock:
                if self._queue:
                    heapq.heappop(self._queue)[2].set()
                else:
                    self._free += 1
