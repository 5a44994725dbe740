"""A server below HTTP: sends bytes as they are, whatever it is asked, for as long as the client listens."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from io import BufferedReader
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


class RawConversation:
    """A server below HTTP that keeps its connections: calls `reply` for each request, with its number on its connection.

    Args:
        reply: sends what it likes; returns `False` to end the connection.
        tls: makes the connections secure ones.
    """

    def __init__(self, reply: Callable[[socket.socket, bytes, int], object], tls: ssl.SSLContext | None = None) -> None:
        self._reply, self._tls = reply, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.connections = 0
        self.requests: list[bytes] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError):
            plain.settimeout(5)
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with connection, connection.makefile("rb") as stream:
                number = 0
                while request := _read_request(stream):
                    self.requests.append(request)
                    if self._reply(connection, request, number) is False:
                        return
                    number += 1


def _read_request(stream: BufferedReader) -> bytes:
    """Head and body of a request; empty where the client is gone."""
    head, length = b"", 0
    while line := stream.readline():
        head += line
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
        if not line.strip():
            return head + stream.read(length)
    return b""


def reset(connection: socket.socket) -> None:
    """End a connection as a crash does: RST, and for a secure one no word of farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket(fileno=connection.detach()).close()
