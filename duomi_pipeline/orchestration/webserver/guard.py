"""Guard for Dagster's webserver: lets requests of its own pages and of programs pass, and refuses other web pages.

Dagster's webserver has no login and accepts GraphQL mutations from any page in the user's browser: in a URL, as
`text/plain` without a preflight, or through DNS rebinding. A run spends money.
"""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from duomi_pipeline.common.text import one_line

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_ADVICE = "Where it should be, start it with `duomi dev --allow-host NAME`."
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused: HTTP status and message."""

    status: int
    text: str


class RequestGuard:
    """ASGI middleware that answers 403 or 415 to refused requests, and closes refused websockets.

    - *Host* must be `localhost`, an IP address (which DNS rebinding cannot use) or one of `hosts`.
    - *Origin*, if there is one, must have the host and port of Host.
    - A request that may change something must be `application/json`: other pages cannot send it without a preflight.
    - GraphQL in a URL is refused, and no other page may show the UI in a frame.

    Args:
        app: the guarded app.
        hosts: further host names of the server, such as that of a proxy with a login; without port.
        advice: what to do where the server should be known by another name.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = (), advice: str = _ADVICE) -> None:
        self._app = app
        self._advice = advice
        self._hosts = frozenset({"localhost", *(host.lower() for host in hosts)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it to the app."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if refusal := self._refusal(scope):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await PlainTextResponse(refusal.text + "\n", refusal.status)(scope, receive, send)
            return

        async def send_unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
            await send(message)

        await self._app(scope, receive, send_unframed)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            shown = one_line(", ".join(hosts), 100)
            return Refusal(
                403,
                f"Refused: this server is not known as {shown!r}. {self._advice}",
            )
        if any(not _same_site(origin, hosts[0]) for origin in origins):
            shown = one_line(", ".join(origins), 100)
            return Refusal(403, f"Refused: the request comes from another page, {shown!r}. Only this UI's own may ask.")
        if scope["type"] == "websocket":
            return None
        if scope["method"] not in _READING:
            content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            if content_type != "application/json":
                return Refusal(415, "Refused: send it as Content-Type: application/json.")
        elif scope["path"].rstrip("/").endswith("/graphql") and "query" in parse_qs(
            scope["query_string"].decode("latin-1"), keep_blank_values=True
        ):
            return Refusal(403, "Refused: GraphQL is not taken from an address. POST it as application/json.")
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._hosts or is_address(name)


def is_address(host: str) -> bool:
    """Whether a host is an IP address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same_site(origin: str, host: str) -> bool:
    """Whether an origin (`https://name:port`) has the host and port of the Host header."""
    try:
        page, server = urlsplit(origin), urlsplit(f"//{host}")
        default = _DEFAULT_PORTS[page.scheme]
        ports = page.port or default, server.port or default
    except (ValueError, KeyError):  # "null", or no address at all
        return False
    return page.hostname == server.hostname and ports[0] == ports[1]
