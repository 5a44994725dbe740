"""A server below HTTP: sends bytes as they are, whatever it is asked, for as long as the client listens."""

import contextlib
import socket
import threading
from collections.abc import Iterable
from itertools import repeat
from types import TracebackType
from typing import Self


class RawService:
    """Sends the same pieces on every connection.

    Args:
        pieces: sent one by one; may be endless.
        pause: seconds before each piece.
    """

    def __init__(self, *pieces: bytes, then_for_ever: bytes | None = None, pause: float = 0.0) -> None:
        self._pieces, self._for_ever, self._pause = pieces, then_for_ever, pause
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        # Closing alone would not wake the thread that waits for a connection.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while not self._ended.is_set():
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            connection.recv(65_536)
            for piece in self._all():
                if self._ended.wait(self._pause) if self._pause else self._ended.is_set():
                    return
                connection.sendall(piece)
                self.sent += len(piece)

    def _all(self) -> Iterable[bytes]:
        yield from self._pieces
        if self._for_ever is not None:
            yield from repeat(self._for_ever)


def one_by_one(data: bytes) -> list[bytes]:
    """Bytes as pieces of one byte."""
    return [data[at : at + 1] for at in range(len(data))]
