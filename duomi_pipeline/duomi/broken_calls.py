"""Classify HTTP calls that failed without a complete answer: was anything sent, and what should the user check?

The messages contain no addresses and headers, which may hold secrets. Complete answers are parsed in `answers`.
"""

import socket
import ssl
from collections.abc import Callable

import requests
from urllib3.exceptions import (
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxySchemeUnknown,
    ReadTimeoutError,
)

from duomi_pipeline.duomi.errors import Ambiguous, DuomiError, NotSent, ServiceBusy
from duomi_pipeline.duomi.transport import NeverSentError, caused_by, certificates_in_force, proxies_in_force

BROKEN = (requests.RequestException, ValueError)  # http.client raises ValueError for some answers that are no HTTP
_BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    LocationParseError,
    ProxySchemeUnknown,
    UnicodeError,
)


def error_of_call(error: Exception, url: str, masked: Callable[[str], str] = str) -> DuomiError:
    """The error class of a POST that failed.

    Args:
        error: one of `BROKEN`.
        url: the address that was called.
        masked: removes the key from a text: an environment variable in the message may hold it.
    """
    words = words_of(error, url, masked)
    if not isinstance(error, NeverSentError):
        return Ambiguous(words)
    # Otherwise the service or the network is down for the moment.
    return NotSent(words) if _needs_a_fix(error.__cause__ or error) else ServiceBusy(words)


def words_of(error: Exception, url: str, masked: Callable[[str], str] = str) -> str:
    """What happened, and which setting, variable or file to check."""
    return masked(_words_of(error, url))


def _words_of(error: Exception, url: str) -> str:
    never_sent = isinstance(error, NeverSentError)
    cause = error.__cause__ if never_sent and error.__cause__ else error
    if isinstance(cause, requests.ConnectTimeout):
        return "no connection to the service in time; check the network, or raise DUOMI_TIMEOUT"
    if isinstance(cause, requests.Timeout) or caused_by(cause, ReadTimeoutError):
        return "no answer in time; raise DUOMI_TIMEOUT if the service is just slow"
    if isinstance(cause, requests.exceptions.SSLError) and not never_sent:
        return "the secure connection broke before the answer was complete"
    if never_sent:
        return _why_not_sent(cause, url)
    if caused_by(cause, ProtocolError) or isinstance(cause, requests.exceptions.ChunkedEncodingError):
        return "the connection broke before the answer was complete"
    return f"the connection failed ({type(cause).__name__})"


def _why_not_sent(cause: BaseException, url: str) -> str:
    """Why a request could not leave this machine, and what to check."""
    if isinstance(cause, requests.exceptions.ProxyError | requests.exceptions.InvalidProxyURL) or _is_proxy(cause, url):
        return f"the proxy cannot be used; check {_proxy(url)}"
    if isinstance(cause, requests.exceptions.SSLError):
        return f"the secure connection failed; check DUOMI_BASE_URL and {_certificates()}"
    if _is_missing_bundle(cause):
        return f"there are no certificates to check the service with; check {_certificates()}"
    if caused_by(cause, NameResolutionError) or isinstance(cause, socket.gaierror):
        return "the service's name is not known; check the network and DUOMI_BASE_URL"
    if isinstance(cause, _BAD_ADDRESS):
        return "the address cannot be used; check DUOMI_BASE_URL"
    where = _proxy(url) if proxies_in_force(url) else "the network and DUOMI_BASE_URL"
    if caused_by(cause, NewConnectionError):
        return f"the service cannot be reached; check {where}"
    return f"the connection broke before anything was sent; check {where}"


def _needs_a_fix(cause: BaseException) -> bool:
    """Whether every further call fails until the user fixes something."""
    is_ours = isinstance(cause, ValueError) and not isinstance(cause, requests.RequestException)
    if isinstance(cause, (*_BAD_ADDRESS, requests.exceptions.InvalidProxyURL)) or is_ours or _is_missing_bundle(cause):
        return True
    return isinstance(cause, requests.exceptions.SSLError) and any(
        isinstance(getattr(part, "reason", part), ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY" in str(part)
        for part in cause.args
    )


def _is_missing_bundle(cause: BaseException) -> bool:
    return isinstance(cause, OSError) and not isinstance(cause, requests.RequestException) and "CA" in str(cause)


def _is_proxy(cause: BaseException, url: str) -> bool:
    """Whether the unusable address is that of the proxy: the service's own address is valid."""
    return isinstance(cause, ValueError) and _is_address(url) and bool(proxies_in_force(url))


def _is_address(url: str) -> bool:
    try:
        requests.Request("POST", url).prepare()
    except ValueError:
        return False
    return True


def _proxy(url: str) -> str:
    found = [f"{name}={without_secrets(value)}" for name, value in proxies_in_force(url).items()]
    return " and ".join(found) or "the proxy of this machine"


def _certificates() -> str:
    found = [f"{name}={value}" for name, value in certificates_in_force().items()]
    return " and ".join(found[:1]) or "the machine's certificates"


def without_secrets(url: str) -> str:
    """Scheme, host and port of an address; the rest may hold a login or a token."""
    scheme, mark, rest = url.rpartition("://")
    _login, at, host = rest.rpartition("@")
    place, slash, more = host.partition("/")
    place, question, query = place.partition("?")
    hidden = "***" if more or question or query else ""
    return f"{scheme}{mark}{'***@' if at else ''}{place}{slash}{hidden}"
