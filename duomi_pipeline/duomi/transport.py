"""HTTP connections as a client that pays needs them.

It is known whether anything left this machine, an answer comes to an end, and a connection on which something
unforeseen happened is never used again.

`requests` knows time-outs of silence only, takes a 102 or 103 for the answer (the real one would then be read as that
of the next prompt), and does not say whether a request was sent. How often one is asked is the engine's.
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

_HOSTS = 4  # that connections are kept open to
DEADLINE_FACTOR = 10  # time-outs of silence that one answer may take as a whole, headers included
_MAX_INTERIM = 100  # answers of 1xx before the real one

# It warns of broken headers with the address, which may be signed, and with what the service wrote.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class NeverSentError(requests.RequestException):
    """Not a byte of the request left this machine; the cause says why."""


class DeadlineSession(requests.Session):
    """A session whose answers come to an end, and that never follows a redirect by itself.

    `requests` would read the whole body of a redirect first, however long it is. A service on this machine is asked
    without a proxy, whatever the environment says.

    Args:
        pool_size: connections kept open to one host.
        user_agent: sent with each request; empty: that of `requests`.

    Raises:
        NeverSentError: by all calls; any other error means that the request, or a part of it, was sent.
    """

    def __init__(self, pool_size: int, user_agent: str = "") -> None:
        super().__init__()
        if user_agent:
            self.headers["User-Agent"] = user_agent
        adapter = _Adapter(pool_connections=_HOSTS, pool_maxsize=pool_size)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, _answer: requests.Response) -> None:
        """None."""

    def merge_environment_settings(self, url: Any, *args: Any, **options: Any) -> Any:
        """What the environment says of proxies and certificates; no proxy for this machine itself."""
        merged = super().merge_environment_settings(url, *args, **options)
        if is_loopback(urlsplit(str(url)).hostname):
            merged["proxies"] = {}
        return merged

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """As of `requests`."""
        _sending.state = _Sending.NOTHING
        try:
            return super().request(*args, **options)
        except (requests.RequestException, OSError, ValueError) as error:
            never_stood = isinstance(error, requests.ConnectTimeout) or caused_by(error, NewConnectionError)
            if _sending.state is _Sending.NOTHING or (_sending.state is _Sending.UNTRACKED and never_stood):
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
    """The environment's variables that say which proxy an address is asked through; empty where none is."""
    parts = urlsplit(url)
    if is_loopback(parts.hostname) or not requests.utils.get_environ_proxies(url):
        return {}
    names = (f"{parts.scheme}_proxy", "all_proxy")
    found = {name: value for name, value in os.environ.items() if name.lower() in names and value}
    wanted = next((name for name in names if any(had.lower() == name for had in found)), "")
    return {name: value for name, value in found.items() if name.lower() == wanted}


def certificates_in_force() -> Mapping[str, str]:
    """The environment's variables that say which file of certificates is trusted; the first one counts."""
    return {name: value for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if (value := os.environ.get(name))}


class _Sending(Enum):
    """How far the calling thread's request came."""

    NOTHING = "not a byte of it was given to a connection"
    UNTRACKED = "not known: the connection is of somebody else's making"
    SOME = "some of it may have left this machine"


class _State(threading.local):
    state = _Sending.NOTHING


_sending = _State()


class _UntilEnd(io.RawIOBase):
    """The bytes of a socket, as long as there is time.

    Attributes:
        ended: nothing more is read.
        is_at_end: the other side has closed it.
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
        self._connection.settimeout(min(left, self._silence))
        count = self._raw.readinto(buffer)
        self.is_at_end = count == 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer that is read from its first byte on until there is no more time.

    Everything but a plain 200 with a body and nothing behind it ends its connection: what may still come on it would be
    taken for the answer to the next request.
    """

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._sock, self._bytes = sock, None
        if silence := sock.gettimeout():
            self._bytes = _UntilEnd(self.fp.detach(), sock, silence)
            self.fp = io.BufferedReader(self._bytes)

    def begin(self) -> None:
        """Read the head; answers of 1xx before the real one are passed over (RFC 9110, section 15.2)."""
        super().begin()
        interim = 0
        while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            interim += 1
            if interim > _MAX_INTERIM:
                raise http.client.HTTPException("the service only sends interim answers")
            # `begin` reads a head once; what it keeps of the passed one is undone.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if self._bytes and self._bytes.is_at_end:  # `http.client` takes half a head for a whole one
            raise http.client.RemoteDisconnected("the connection was closed in the head of the answer")
        if interim or self.status != http.HTTPStatus.OK or self.length == 0:
            self.will_close = True

    def _close_conn(self) -> None:
        if self._bytes:
            self._bytes.ended = True
            if self.fp.peek(1):  # read with the answer, and no part of it: the pool is shown a dead connection
                with contextlib.suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)
        super()._close_conn()  # type: ignore[misc]


class _Tracked:
    """A connection that notes when the first byte of a request is given to it.

    What a connection sends to stand at all (TLS, a proxy's CONNECT) is no part of the request.
    """

    _stands = False

    def connect(self) -> None:
        self._stands = False
        super().connect()  # type: ignore[misc]
        self._stands = True

    def close(self) -> None:
        self._stands = False
        super().close()  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self.sock is None:  # type: ignore[attr-defined]
            self.connect()
        if self._stands:
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
    """Pools of such connections, also behind a proxy."""

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
