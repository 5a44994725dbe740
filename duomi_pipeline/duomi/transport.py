"""HTTP connections for paid calls: with a total deadline, and with the knowledge whether anything was sent.

`requests` alone has only a time-out between two bytes, takes a 102 or 103 for the final answer (the real one would then
be read as the answer to the next request), and does not say whether a request was sent. A connection on which something
unexpected happened is not used again. Calls are made in `client`; retries are decided in `engine`.
"""

import contextlib
import http.client
import io
import ipaddress
import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

_HOSTS = 4  # hosts to which connections are kept open
DEADLINE_FACTOR = 10  # total time of an answer, headers included, as a multiple of the time-out
_MAX_INTERIM = 100  # answers of 1xx before the real one

# Its warnings about broken headers contain the address, which may be a secret, and text of the service.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class NeverSentError(requests.RequestException):
    """Not a byte of the request left this machine; the cause says why."""


class DeadlineSession(requests.Session):
    """A session with a total deadline for each answer; it never follows a redirect by itself.

    `requests` would read the whole body of a redirect first, however long it is. For a service on this machine no proxy
    is used, even if the environment sets one.

    Args:
        pool_size: connections kept open to one host.
        user_agent: sent with each request; empty: that of `requests`.

    Raises:
        NeverSentError: by all calls, if nothing was sent; after any other error the request may have been sent.
    """

    def __init__(self, pool_size: int, user_agent: str = "") -> None:
        super().__init__()
        self._environment: dict[tuple[str, str], dict[str, Any]] = {}
        if user_agent:
            self.headers["User-Agent"] = user_agent
        adapter = _Adapter(pool_connections=_HOSTS, pool_maxsize=pool_size)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, _answer: requests.Response) -> None:
        """Return `None`, so that no redirect is followed."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Use proxies and certificates from the environment, but no proxy for this machine itself.

        The environment is read once per host: `requests` would search it for each request, for longer than it sends.
        """
        parts = urlsplit(str(url))
        host = parts.scheme, parts.netloc
        if host not in self._environment:
            found = super().merge_environment_settings(url, {}, None, None, None)
            self._environment[host] = {**found, "proxies": {} if is_loopback(parts.hostname) else found["proxies"]}
        known = self._environment[host]
        own = {name: value for name, value in (("verify", verify), ("cert", cert)) if value is not None}
        return {**known, **own, "proxies": {**known["proxies"], **(proxies or {})}, "stream": stream}

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """Send a request as `requests` does; raises `NeverSentError` if nothing was sent."""
        _sending.state = _Sending.NOTHING
        try:
            return super().request(*args, **options)
        except (requests.RequestException, OSError, ValueError) as error:
            never_connected = isinstance(error, requests.ConnectTimeout) or caused_by(error, NewConnectionError)
            if _sending.state is _Sending.NOTHING or (_sending.state is _Sending.UNTRACKED and never_connected):
                raise NeverSentError(error) from error
            raise


def caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error of `requests` wraps one of another kind."""
    return any(isinstance(getattr(arg, "reason", arg), kind) for arg in error.args)


def is_loopback(host: str | None) -> bool:
    """Whether a host's name or address means this machine."""
    if not host:
        return False
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def proxies_in_force(url: str) -> Mapping[str, str]:
    """The environment variables that set the proxy for an address; empty where none is used."""
    parts = urlsplit(url)
    if is_loopback(parts.hostname) or not requests.utils.get_environ_proxies(url):
        return {}
    names = (f"{parts.scheme}_proxy", "all_proxy")
    found = {name: value for name, value in os.environ.items() if name.lower() in names and value}
    wanted = next((name for name in names if any(had.lower() == name for had in found)), "")
    return {name: value for name, value in found.items() if name.lower() == wanted}


def certificates_in_force() -> Mapping[str, str]:
    """The environment variables that set the file of trusted certificates; the first one counts."""
    return {name: value for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if (value := os.environ.get(name))}


class _Sending(Enum):
    """What was sent of the calling thread's request."""

    NOTHING = "no byte was given to a connection"
    UNTRACKED = "unknown: the connection is made by another library"
    SOME = "some of it may have left this machine"


class _State(threading.local):
    state = _Sending.NOTHING


_sending = _State()


class _DeadlineReader(io.RawIOBase):
    """Reads the bytes of a socket until a deadline.

    Attributes:
        ended: nothing more may be read.
        is_at_end: the other side has closed the connection.
    """

    ended = False
    is_at_end = False

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, silence: float) -> None:
        self._raw, self._connection, self._silence = raw, connection, silence
        self._end = time.monotonic() + DEADLINE_FACTOR * silence

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self.ended:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        if left < self._silence:  # until then the connection has this time-out already
            self._connection.settimeout(left)
        count = self._raw.readinto(buffer)
        self.is_at_end = count == 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer with a deadline that starts with its first byte.

    Its connection is used again only after a plain 200 with a body and nothing after it. Otherwise bytes that come
    later would be read as the answer to the next request.
    """

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._sock, self._bytes = sock, None
        if silence := sock.gettimeout():
            self._bytes = _DeadlineReader(self.fp.detach(), sock, silence)
            self.fp = io.BufferedReader(self._bytes)

    def begin(self) -> None:
        """Read the head, and skip interim answers (1xx) before the final one (RFC 9110, section 15.2)."""
        super().begin()
        interim = 0
        while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            interim += 1
            if interim > _MAX_INTERIM:
                raise http.client.HTTPException("the service only sends interim answers")
            # `begin` does nothing if a head was read already, so the skipped one is removed.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if self._bytes and self._bytes.is_at_end:  # `http.client` accepts an incomplete head
            raise http.client.RemoteDisconnected("the connection was closed in the head of the answer")
        if interim or self.status != http.HTTPStatus.OK or self.length == 0:
            self.will_close = True

    def _close_conn(self) -> None:
        if self._bytes:
            self._bytes.ended = True
            if self.fp.peek(1):  # bytes after the answer: shut down, so that the pool drops the connection
                with contextlib.suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)
        super()._close_conn()  # type: ignore[misc]


class _Tracked:
    """A connection that records when it gets the first byte of a request.

    What is sent to open the connection (TLS, a proxy's CONNECT) does not count.
    """

    _is_connected = False

    def connect(self) -> None:
        self._is_connected = False
        super().connect()  # type: ignore[misc]
        self._is_connected = True

    def close(self) -> None:
        self._is_connected = False
        super().close()  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self.sock is None:  # type: ignore[attr-defined]
            self.connect()
        if self._is_connected:
            _sending.state = _Sending.SOME
        super().send(data)  # type: ignore[misc]


class _Connection(_Tracked, HTTPConnection):
    response_class = _Answer


class _SecureConnection(_Tracked, HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    """Uses these connections in all pools, also behind a proxy."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _use_our_connections(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        if proxy.lower().startswith("socks"):
            _sending.state = _Sending.UNTRACKED  # these have connections of their own
        else:
            _use_our_connections(manager)
        return manager


def _use_our_connections(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
