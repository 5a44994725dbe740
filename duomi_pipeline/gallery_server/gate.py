"""Who may ask: a page of this server alone, and whoever knows the token in its address."""

import secrets

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from duomi_pipeline.orchestration.webserver.folders import HEADERS


class TokenGate:
    """ASGI middleware: answers 403 where the first part of the path is not the token, and sets the headers of a page.

    Args:
        app: what is behind the gate; it sees the whole path.
        token: the secret of this server.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it to the app."""
        given = scope["path"].removeprefix("/").partition("/")[0].encode("utf-8", "surrogatepass")
        if not secrets.compare_digest(given, self._token):
            refused = PlainTextResponse("Refused: open the address that `duomi gallery --serve` printed.\n", 403)
            await refused(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)  # the address holds the token: it goes to no other page
            await send(message)

        await self._app(scope, receive, send_with_headers)
