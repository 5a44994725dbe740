"""Which requests reach Dagster's webserver: those of its own pages and of programs, never those of another web page.

Dagster's webserver has no login and takes GraphQL mutations from any page that the user's browser shows: in an
address, as `text/plain` without a preflight, under a name that was rebound to this machine. A run spends money.
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
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Refusal:
    """Why a request goes no further: HTTP status and plain words."""

    status: int
    text: str


class RequestGuard:
    """ASGI middleware that answers 403 or 415 in place of the app it stands before; websockets are closed unopened.

    - *Host* is `localhost`, an IP address (which no foreign page can rebind) or one of `hosts`.
    - *Origin*, where there is one, is the page's own: scheme aside, host and port are those of Host.
    - What may change something is `application/json`, which no page sends elsewhere without asking first.
    - GraphQL is not taken from an address, and no other page may show the UI in a frame.

    Args:
        app: what is guarded.
        hosts: further names under which it is reached, such as that of a proxy with a login; without port.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset({"localhost", *(host.lower() for host in hosts)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it pass."""
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
            said = one_line(", ".join(hosts), 100)
            return Refusal(
                403,
                f"Refused: this server is not known as {said!r}. Where it should be, start it with "
                "`duomi dev --allow-host NAME`.",
            )
        if any(not _same_site(origin, hosts[0]) for origin in origins):
            said = one_line(", ".join(origins), 100)
            return Refusal(403, f"Refused: the request comes from another page, {said!r}. Only this UI's own may ask.")
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
    """Whether it is an IP address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same_site(origin: str, host: str) -> bool:
    """Whether a page of that origin (`https://name:port`) was served under that Host header."""
    try:
        page, server = urlsplit(origin), urlsplit(f"//{host}")
        default = _DEFAULT_PORTS[page.scheme]
        ports = page.port or default, server.port or default
    except (ValueError, KeyError):  # "null", or no address at all
        return False
    return page.hostname == server.hostname and ports[0] == ports[1]
