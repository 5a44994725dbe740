"""Signals that came while a run had the handlers: it ends by them, and its server must, too."""

import signal
import socket
from types import TracebackType
from typing import Self


class Interrupts:
    """Notes SIGINT and SIGTERM from the beginning of its block, whoever handles them. For the main thread."""

    def __enter__(self) -> Self:
        self._told, told_by = socket.socketpair()
        self._told_by = told_by
        for end in (self._told, told_by):
            end.setblocking(False)
        self._before = signal.set_wakeup_fd(told_by.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        signal.set_wakeup_fd(self._before)
        self._told.close()
        self._told_by.close()

    def have_come(self) -> bool:
        """Whether one came since the last call."""
        try:
            return bool({signal.SIGINT, signal.SIGTERM} & set(self._told.recv(1024)))
        except BlockingIOError:
            return False
