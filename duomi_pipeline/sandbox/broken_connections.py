"""Connections that break early or carry more than one answer, which an ASGI application cannot do by itself.

Holds the protocol class through which a request can reach its connection, the interim answers that are
written straight to it, and the answers that break it off.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Sequence
from http.client import responses

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

TRANSPORT = "transport"
NO_LINGER = struct.pack("ii", 1, 0)

logger = logging.getLogger(__name__)


class BreakableProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, with the connection's transport in `scope["state"]` and without an access log.

    Uvicorn's own loggers are left as they are: another server in this process may use them.
    """

    def __init__(self, config: Config, server_state: ServerState) -> None:
        super().__init__(config=config, server_state=server_state, app_state={})
        self.logger = logger
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the transport where each request's scope takes its state from."""
        super().connection_made(transport)
        # asyncio leaves it off for sockets it was given; answers would wait 40 ms for an acknowledgement.
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {TRANSPORT: transport}


def send_interim(scope: Scope, statuses: Sequence[int]) -> None:
    """Send these 1xx statuses before the request's answer, all at once."""
    transport: asyncio.Transport = scope["state"][TRANSPORT]
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Interim')}\r\n\r\n" for status in statuses]
    transport.write("".join(lines).encode())


class ResetAnswer(Response):
    """No answer at all: the client sees its connection reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset the connection."""
        transport: asyncio.Transport = scope["state"][TRANSPORT]
        connection: socket.socket = transport.get_extra_info("socket")
        # With nothing to linger for, closing sends RST instead of FIN.
        with contextlib.suppress(OSError):  # the client is gone already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        transport.abort()
        await _closed(receive)


class CutAnswer(Response):
    """Half of the body, with a Content-Length that promises all of it, and the end of the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the half and close the connection."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        transport: asyncio.Transport = scope["state"][TRANSPORT]
        transport.close()
        await _closed(receive)


async def _closed(receive: Receive) -> None:
    # An application that returns earlier is taken for one that forgot its answer.
    while (await receive())["type"] != "http.disconnect":
        pass
