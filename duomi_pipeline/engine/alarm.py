"""Calls what is late, from one thread for all that wait: a timer of its own for each ledger write is a thread each."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Late:
    """A block that has not ended; `lock` is held while its function is called."""

    due: float
    call: Callable[[], None]
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_over: bool = False


class Alarm:
    """Calls a function if a block takes longer than a time, which is the same for all blocks.

    Args:
        seconds: this time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._open: dict[_Late, None] = {}  # in the order in which they are due
        self._is_watched = False

    @contextmanager
    def after(self, call: Callable[[], None]) -> Iterator[None]:
        """A block; the function is called once if it takes too long, and has ended before the block ends."""
        late = _Late(time.monotonic() + self._seconds, call)
        with self._changed:
            self._open[late] = None
            if not self._is_watched:
                self._is_watched = True
                threading.Thread(target=self._watch, name="duomi-alarm", daemon=True).start()
        try:
            yield
        finally:
            with self._changed:
                self._open.pop(late, None)
            with late.lock:
                late.is_over = True

    def _watch(self) -> None:
        """Call what is late, until for a while there is nothing to watch."""
        while late := self._next_late():
            with late.lock:
                if not late.is_over:
                    late.call()

    def _next_late(self) -> _Late | None:
        with self._changed:
            idle_at = time.monotonic() + self._seconds
            while True:
                now, first = time.monotonic(), next(iter(self._open), None)
                if first is not None and first.due <= now:
                    del self._open[first]
                    return first
                if first is None and now >= idle_at:
                    self._is_watched = False
                    return None
                idle_at = idle_at if first is None else now + self._seconds
                self._changed.wait(idle_at - now if first is None else first.due - now)
