"""Signals: the first Ctrl-C or SIGTERM stops a batch cleanly, the second ends the process at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from duomi_pipeline.common.processes import EXIT_INTERRUPTED
from duomi_pipeline.engine.outcome import INTERRUPTED

if TYPE_CHECKING:
    from duomi_pipeline.engine.batch import Batch

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopped_by_signals(batch: "Batch") -> Iterator[None]:
    """Let SIGINT and SIGTERM stop a batch inside the block: nothing new is sent, requests in flight are finished.

    The second signal ends the process; the next run continues from the steps in the ledger. Outside the main thread
    nothing is changed, because Python allows no handlers there. Ignored signals (background shell, `nohup`) stay
    ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    seen = 0

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            os._exit(EXIT_INTERRUPTED)
        # In another thread, because this handler may have interrupted code that holds the batch's lock.
        threading.Thread(target=batch.stop, args=(INTERRUPTED,)).start()

    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
