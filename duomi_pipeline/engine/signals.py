"""Signals: the first Ctrl-C or SIGTERM stops a batch cleanly, the second ends the process at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from duomi_pipeline.common.processes import EXIT_INTERRUPTED
from duomi_pipeline.common.text import counted
from duomi_pipeline.engine.outcome import INTERRUPTED

if TYPE_CHECKING:
    from duomi_pipeline.engine.batch import Batch

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2


@contextmanager
def stopped_by_signals(batch: "Batch") -> Iterator[None]:
    """Let SIGINT and SIGTERM stop a batch inside the block: nothing new is sent, requests in flight are finished.

    The second signal ends the process; the next run continues from the steps in the ledger. Both say on stderr what
    becomes of the requests in flight. Outside the main thread nothing is changed, because Python allows no handlers
    there. Ignored signals (background shell, `nohup`) stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    seen = 0

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        in_flight = batch.in_flight
        if seen > 1:
            _say(_left(in_flight))
            os._exit(EXIT_INTERRUPTED)
        _say(_finishing(in_flight))
        # In another thread, because this handler may have interrupted code that holds the batch's lock.
        threading.Thread(target=batch.stop, args=(INTERRUPTED,)).start()

    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _finishing(in_flight: int) -> str:
    if not in_flight:
        return "Interrupted: nothing new is sent."
    verb = "is" if in_flight == 1 else "are"
    what = f"{counted(in_flight, 'request')} in flight {verb} finished"
    return f"Interrupted: nothing new is sent, {what}. Ctrl-C again leaves at once."


def _left(in_flight: int) -> str:
    if not in_flight:
        return "Left at once: no request was in flight."
    return (
        f"Left at once with {counted(in_flight, 'request')} in flight: an answer that was on its way is lost, and may "
        "have been billed. The next run fetches what the service accepted as a task."
    )


def _say(line: str) -> None:
    """Write a line to stderr. Not through `sys.stderr`: the handler may have interrupted a write to it."""
    with suppress(OSError):  # nobody reads it
        os.write(_STDERR, f"\n{line}\n".encode())
