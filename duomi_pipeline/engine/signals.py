"""Ctrl-C and termination: the first stops a batch cleanly, the second leaves at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from duomi_pipeline.engine.batch import Batch
from duomi_pipeline.engine.outcome import INTERRUPTED

EXIT_INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopped_by_signals(batch: Batch) -> Iterator[None]:
    """Let SIGINT and SIGTERM stop a batch inside the block: nothing new is sent, what is in flight is finished.

    The second signal ends the process: the ledger knows every step, so the next run goes on from there.
    Outside the main thread, where Python allows no handlers, signals stay with whoever has them; and what a background
    shell or `nohup` ignores stays ignored.
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
        # In a thread of its own: this handler may interrupt the very code that holds the batch's lock.
        threading.Thread(target=batch.stop, args=(INTERRUPTED,)).start()

    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
