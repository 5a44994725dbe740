"""One pooled HTTP client for the API: submit, poll, download, check the key. It never retries: the engine decides.

Every failure leaves here as one of the classes of `errors`. The key is sent to the API's host only.
"""

import math
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import IO, Literal, Self
from urllib.parse import quote, urljoin, urlsplit

import requests
from pydantic import SecretStr
from requests.auth import AuthBase
from urllib3.exceptions import LocationParseError, NewConnectionError, ProtocolError, ReadTimeoutError

from duomi_pipeline.duomi.answers import (
    NotUnderstood,
    Pictures,
    Task,
    Waiting,
    parse_json,
    parse_submission,
    parse_task,
)
from duomi_pipeline.duomi.connection import PatientSession
from duomi_pipeline.duomi.errors import (
    AccountError,
    Ambiguous,
    BadImage,
    ConfigurationError,
    DuomiError,
    NotDownloaded,
    ServiceBusy,
)
from duomi_pipeline.duomi.protocols import KEY_PROBE_PATH, ROUTES
from duomi_pipeline.duomi.request import ImageRequest

CONNECT_TIMEOUT = 10.0  # seconds
MAX_ANSWER_BYTES = 160_000_000  # four 4K pictures as base64
MAX_IMAGE_BYTES = 64_000_000
MAX_REDIRECTS = 5
MAX_RETRY_AFTER = 300.0  # seconds; a longer wish of the service is cut to this
_CHUNK = 1 << 16
_BROKEN = (requests.RequestException, ValueError)  # http.client has a few ValueErrors for what is no HTTP
_SHORTEST_SECRET = 8  # characters: a shorter key is a word, such as `any`, that answers hold by chance


class DuomiClient:
    """A client for one service.

    Args:
        base_url: the service without `/v1`, for example `https://duomiapi.com`.
        api_key: sent as `Authorization`, raw or with `Bearer`.
        timeout: seconds of silence after which a call is given up; as a whole it may take `PATIENCE` times as long.
        pool_size: connections kept open, at least the number of threads that use the client.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        auth_scheme: Literal["raw", "bearer"] = "raw",
        timeout: float = 60.0,
        pool_size: int = 4,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeouts = (min(CONNECT_TIMEOUT, timeout), timeout)
        key = api_key.get_secret_value() if api_key else ""
        self._key = key
        self._api = _session(pool_size, _Login(f"Bearer {key}" if key and auth_scheme == "bearer" else key))
        self._files = _session(pool_size, _Login(""))  # without the key: pictures often lie on other hosts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._api.close()
        self._files.close()

    def submit(self, request: ImageRequest) -> Pictures | Task:
        """Send one request. The service may bill it from here on.

        Raises:
            Ambiguous: it was sent, but no usable answer came back.
            DuomiError: any other class of `errors`; then it was not billed.
        """
        url = self._base_url + ROUTES[request.protocol].submit_path
        try:
            with self._api.post(url, json=dict(request.body), timeout=self._timeouts, stream=True) as answer:
                text = self._text(answer)
        except _BROKEN as error:
            raise _sent(error) from error
        try:
            has_tasks = ROUTES[request.protocol].task_path is not None
            return parse_submission(_body(answer, text), has_tasks=has_tasks)
        except NotUnderstood as error:
            raise Ambiguous(error.message, str(answer.status_code)) from error

    def poll(self, request: ImageRequest, task_id: str) -> Pictures | Waiting:
        """Look at a task once; free of charge.

        Raises:
            PromptRefused, TaskFailed: the service ended the task.
            ServiceBusy, RateLimited, AccountError: this look failed; the task lives on.
        """
        path = ROUTES[request.protocol].task_path
        if path is None:
            raise ConfigurationError(f"protocol {request.protocol} has no tasks; check DUOMI_PROTOCOL")
        url = self._base_url + path.format(task_id=quote(task_id, safe=""))
        try:
            with self._api.get(url, timeout=self._timeouts, stream=True) as answer:
                text = self._text(answer)
        except _BROKEN as error:
            raise ServiceBusy(_reason(error)) from error
        except (BadImage, ConfigurationError) as error:  # too large, or a redirect
            raise ServiceBusy(error.message) from error
        if answer.status_code == 404:
            return Waiting()  # a fresh task is not found for some seconds; the total time-out ends an unknown one
        try:
            return parse_task(_body(answer, text, of_task=True))
        except (NotUnderstood, ConfigurationError, BadImage) as error:
            raise ServiceBusy(error.message, error.code) from error

    def download(self, url: str, into: IO[bytes]) -> None:
        """Write the bytes behind a picture's address, which may be relative to the service, into an open file.

        Raises:
            OSError: the file takes no more.
            BadImage: not http(s), or too large.
            NotDownloaded: cut off, or the host cannot be reached or says no.
        """
        address = _address(self._base_url + "/", url)
        try:
            for _ in range(MAX_REDIRECTS + 1):
                with self._files.get(address, timeout=self._timeouts, stream=True) as answer:
                    if not answer.is_redirect:
                        _save_picture(answer, into)
                        return
                    location = answer.headers["Location"].encode("latin-1").decode("utf-8", "replace")
                address = _address(address, location)
        except (LocationParseError, UnicodeError) as error:
            raise BadImage("the picture's address is none") from error
        except _BROKEN as error:
            raise NotDownloaded(f"the picture could not be downloaded: {_reason(error)}") from error
        raise NotDownloaded(f"the picture's host redirects more than {MAX_REDIRECTS} times")

    def check_key(self) -> None:
        """Ask the service, free of charge, whether it takes the key.

        Raises:
            AccountError: it does not.
            ServiceBusy: it did not answer properly.
        """
        try:
            with self._api.get(self._base_url + KEY_PROBE_PATH, timeout=self._timeouts, stream=True) as answer:
                status = answer.status_code
        except _BROKEN as error:
            raise ServiceBusy(_reason(error)) from error
        if status in (401, 403):
            raise AccountError("The service does not accept the key. Check DUOMI_API_KEY.", str(status))
        if status not in (200, 400, 404, 422):
            raise ServiceBusy(f"the service answered HTTP {status}", str(status))

    def _text(self, answer: requests.Response) -> str:
        """The body; a service that repeats the key in its words must not bring it into ledger and logs."""
        if 300 <= answer.status_code < 400:
            raise ConfigurationError(f"the service redirects (HTTP {answer.status_code}); check DUOMI_BASE_URL")
        text = b"".join(_limited(answer, MAX_ANSWER_BYTES)).decode("utf-8-sig", "replace")
        return text.replace(self._key, "***") if len(self._key) >= _SHORTEST_SECRET else text


class _Login(AuthBase):
    """Our `Authorization` header or none; being there, it keeps requests from taking a login of the user's `.netrc`."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        if not (self._header.isascii() and self._header.isprintable()):
            raise ConfigurationError("DUOMI_API_KEY holds characters that no key has; copy it once more")
        if self._header:
            prepared.headers["Authorization"] = self._header
        return prepared


def _session(pool_size: int, login: _Login) -> requests.Session:
    session = PatientSession(pool_size)
    session.auth = login
    return session


def _address(base: str, url: str) -> str:
    """An address that may be relative to another.

    Raises:
        BadImage: it is not http(s).
    """
    try:
        address = urljoin(base, url)
        is_http = urlsplit(address).scheme in ("http", "https")
    except ValueError:
        is_http = False
    if not is_http:
        raise BadImage("the picture's address is not http(s)")
    return address


def _save_picture(answer: requests.Response, into: IO[bytes]) -> None:
    """Write a download's bytes piece by piece: many pictures come at a time, and may be large.

    Raises:
        BadImage: too many.
        NotDownloaded: the host says no.
    """
    status = answer.status_code
    if status != 200:
        raise NotDownloaded(f"the picture's host answered HTTP {status}", str(status))
    for piece in _limited(answer, MAX_IMAGE_BYTES):
        into.write(piece)


def _limited(answer: requests.Response, limit: int) -> Iterator[bytes]:
    """The body in pieces; urllib3 raises where it ends before its announced length."""
    total = 0
    for chunk in answer.iter_content(_CHUNK):
        total += len(chunk)
        if total > limit:
            raise BadImage(f"the answer is larger than {limit // 1_000_000} MB")
        yield chunk


def _body(answer: requests.Response, text: str, *, of_task: bool = False) -> dict[str, object]:
    return parse_json(answer.status_code, text, _retry_after(answer), of_task=of_task)


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds of the `Retry-After` header, capped; it holds seconds or a date."""
    value = answer.headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _sent(error: Exception) -> DuomiError:
    """Whether a failed POST can have reached the service: only a connection that never stood surely did not."""
    never_connected = isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError) or (
        isinstance(error, requests.ConnectionError) and _caused_by(error, NewConnectionError)
    )
    if never_connected or isinstance(error, requests.exceptions.SSLError):
        return ServiceBusy(_reason(error))
    if isinstance(error, requests.exceptions.InvalidURL):
        return ConfigurationError(f"{_reason(error)}; check DUOMI_BASE_URL")
    return Ambiguous(_reason(error))


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    return any(isinstance(getattr(arg, "reason", arg), kind) for arg in error.args)


def _reason(error: Exception) -> str:
    """What happened, in words without addresses (which may be signed) and without headers (which hold the key)."""
    if isinstance(error, requests.ConnectTimeout):
        return "no connection to the service in time; check the network, or raise DUOMI_TIMEOUT"
    if isinstance(error, requests.Timeout) or _caused_by(error, ReadTimeoutError):
        return "no answer in time; raise DUOMI_TIMEOUT if the service is just slow"
    if isinstance(error, requests.exceptions.SSLError):
        return "the secure connection failed; check DUOMI_BASE_URL and the machine's certificates"
    if _caused_by(error, NewConnectionError):
        return "the service cannot be reached; check the network and DUOMI_BASE_URL"
    if _caused_by(error, ProtocolError) or isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke before the answer was complete"
    return f"the connection failed ({type(error).__name__})"
