"""Runs the sandbox service: in a thread beside other work, or in the foreground."""

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from uvicorn.config import Config
from uvicorn.server import ServerState

from duomi_pipeline.sandbox.broken_connections import BreakableProtocol
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.journal import Books
from duomi_pipeline.sandbox.service import SandboxService

BACKLOG = 1024
# Longer than any client keeps a connection: one closed while a POST is on its way would look like a fault.
KEEP_ALIVE_SECONDS = 600


class SandboxServer:
    """The sandbox service in a thread of this process.

    Answers from `start()`, or from the beginning of a `with` block, until `close()`. Uvicorn's own server is
    not used: it takes tenths of a second to stop, waits for idle connections and handles signals.

    Args:
        faults: In force from the start.
        books_path: File of the journal, so that tasks outlive the service; in memory if not given.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        clock: Seconds since 1970.

    Raises:
        OSError: The address is taken or not this machine's.
        sqlite3.Error: The journal cannot be opened.
    """

    def __init__(
        self,
        *,
        faults: Faults | None = None,
        books_path: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._socket = socket.create_server((host, port), backlog=BACKLOG)
        self.url = "http://{}:{}".format(*self._socket.getsockname())
        try:
            self.books = Books(books_path)
        except BaseException:
            self._socket.close()
            raise
        self._service = SandboxService(self.books, faults or Faults(), clock)
        self._stopper: Future[Callable[[], object]] = Future()
        self._thread = threading.Thread(target=self._run, name="duomi-sandbox", daemon=True)

    @property
    def faults(self) -> Faults:
        """The faults in force; may be replaced at any time."""
        return self._service.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._service.faults = faults

    def change_faults(self, **changes: object) -> None:
        """Change some of the faults, from the next request on.

        Raises:
            pydantic.ValidationError: There is no such fault, or the value is out of range.
        """
        self.faults = Faults.model_validate({**self.faults.model_dump(), **changes})

    def start(self) -> Self:
        """Begin to answer; returns when the service does."""
        self._thread.start()
        self._stopper.result()
        return self

    def close(self) -> None:
        """Stop at once: requests without an answer do not get one, as if the process had ended."""
        if self._thread.is_alive():
            stop = self._stopper.result()
            stop()
            self._thread.join()
        self._socket.close()
        self.books.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._stopper.done():
                raise
            self._stopper.set_exception(error)

    async def _serve(self) -> None:
        config = Config(
            self._service.app(),
            http=BreakableProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        config.load()
        state = ServerState()
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        server = await loop.create_server(lambda: BreakableProtocol(config, state), sock=self._socket, backlog=BACKLOG)
        self._stopper.set_result(lambda: loop.call_soon_threadsafe(stop.set))
        await stop.wait()
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        self._service.close()


def serve(
    *, host: str = "127.0.0.1", port: int = 8787, faults: Faults | None = None, books_path: Path | None = None
) -> None:
    """Run the sandbox service until Ctrl-C.

    Raises:
        OSError: The address is taken or not this machine's.
    """
    server = SandboxServer(faults=faults, books_path=books_path, host=host, port=port)
    with contextlib.suppress(KeyboardInterrupt), server:
        print(f"Duomi sandbox on {server.url}, Ctrl-C ends it", file=sys.stderr, flush=True)
        threading.Event().wait()
