"""Connections whose answers come to an end: a service that sends a byte a minute must not hold a run for ever.

`requests` knows time-outs of silence only. How often one is asked is the engine's.
"""

import http.client
import io
import logging
import socket
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

_HOSTS = 4  # that connections are kept open to
PATIENCE = 10  # time-outs of silence that one answer may take as a whole, headers included

# It warns of broken headers with the address, which may be signed, and with what the service wrote.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class PatientSession(requests.Session):
    """A session whose answers come to an end, and that never follows a redirect by itself.

    `requests` would read the whole body of a redirect first, however long it is.

    Args:
        pool_size: connections kept open to one host.
    """

    def __init__(self, pool_size: int) -> None:
        super().__init__()
        adapter = _Adapter(pool_connections=_HOSTS, pool_maxsize=pool_size)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, _answer: requests.Response) -> None:
        """None."""


class _UntilEnd(io.RawIOBase):
    """The bytes of a socket, as long as there is time."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, silence: float) -> None:
        self._raw, self._connection, self._silence = raw, connection, silence
        self._end = time.monotonic() + PATIENCE * silence

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._connection.settimeout(min(left, self._silence))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer that is read from its first byte on until there is no more time."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        if silence := sock.gettimeout():
            self.fp = io.BufferedReader(_UntilEnd(self.fp.detach(), sock, silence))


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    """Pools of such connections, also behind a proxy."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _have_ends(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # these have connections of their own
            _have_ends(manager)
        return manager


def _have_ends(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
