"""The HTTP client for the API: submit, poll, download, check the key. It never retries; `engine` does.

Every failure is raised as one of the classes of `errors`. The key is sent to the API's host only.
"""

import codecs
import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import IO, Literal, Self
from urllib.parse import quote, urljoin, urlsplit

import requests
from pydantic import SecretStr
from requests.auth import AuthBase
from urllib3.exceptions import LocationParseError

from duomi_pipeline.duomi.answers import (
    Empty,
    Pictures,
    Task,
    Waiting,
    parse_json,
    parse_submission,
    parse_task,
)
from duomi_pipeline.duomi.broken_calls import BROKEN, error_of_call, words_of
from duomi_pipeline.duomi.errors import (
    AccountError,
    BadImage,
    ConfigurationError,
    DuomiError,
    Forbidden,
    NotDownloaded,
    NotSent,
    NotUnderstood,
    PromptRefused,
    RateLimited,
    Redirected,
    ServiceBusy,
    TaskDenied,
)
from duomi_pipeline.duomi.masking import Mask
from duomi_pipeline.duomi.protocols import KEY_PROBE_PATH, ROUTES
from duomi_pipeline.duomi.reactions import Billed
from duomi_pipeline.duomi.request import ImageRequest
from duomi_pipeline.duomi.transport import DeadlineSession

CONNECT_TIMEOUT = 10.0  # seconds
MAX_ANSWER_BYTES = 160_000_000  # four 4K pictures as base64
MAX_IMAGE_BYTES = 64_000_000
MAX_REDIRECTS = 5
MAX_RETRY_AFTER = 300.0  # seconds; a longer time is shortened to this
_CHUNK = 1 << 16
_SMALL = 4_000_000  # bytes
GONE = {"403", "404", "410"}  # HTTP status of a picture's host: there is no such picture, or we may not have it


class DuomiClient:
    """A client for one service.

    Args:
        base_url: the service without `/v1`, for example `https://duomiapi.com`.
        api_key: sent as `Authorization`, raw or with `Bearer`.
        timeout: seconds without data after which a call fails; in total it may take `DEADLINE_FACTOR` times as long.
        pool_size: connections kept open, at least the number of threads that use the client.
        user_agent: sent with each call; empty: that of `requests`.
        idempotency_header: the service's header for idempotency keys, if it has one: for the same key the service
            repeats its first answer.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        auth_scheme: Literal["raw", "bearer"] = "raw",
        timeout: float = 60.0,
        pool_size: int = 4,
        *,
        user_agent: str = "",
        idempotency_header: str = "",
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeouts = (min(CONNECT_TIMEOUT, timeout), timeout)
        self._idempotency_header = idempotency_header
        key = api_key.get_secret_value() if api_key else ""
        self.masked = Mask(key)
        login = _Login(f"Bearer {key}" if key and auth_scheme == "bearer" else key)
        self._api, self._files = DeadlineSession(pool_size, user_agent), DeadlineSession(pool_size, user_agent)
        self._api.auth, self._files.auth = login, _Login("")  # no key for pictures: they are often on other hosts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._api.close()
        self._files.close()

    def submit(self, request: ImageRequest, idempotency_key: str = "") -> Pictures | Task:
        """Send one request. The service may bill it as soon as it is sent.

        Args:
            request: the request.
            idempotency_key: the same for all tries after a lost answer.

        Raises:
            NotSent, ServiceBusy: nothing left this machine.
            Ambiguous: it was sent, but no usable answer came back.
            NotUnderstood: the answer has an unknown form.
            DuomiError: any other class of `errors`; then it was not billed.
        """
        url = self._base_url + ROUTES[request.protocol].submit_path
        headers = {self._idempotency_header: idempotency_key} if self._idempotency_header and idempotency_key else {}
        try:
            answer = self._api.post(url, json=dict(request.body), headers=headers, timeout=self._timeouts, stream=True)
            with answer:
                text = self._text(answer)
        except BROKEN as error:
            raise error_of_call(error, url, self.masked) from error
        except BadImage as error:  # larger than any answer: may be paid, but is too large to keep
            raise NotUnderstood(error.message, str(answer.status_code)) from error
        try:
            has_tasks = ROUTES[request.protocol].task_path is not None
            body = self._body(answer, text, prompt=request.prompt)
            return self._cleaned(parse_submission(body, has_tasks=has_tasks, prompt=request.prompt))
        except DuomiError as error:
            if error.billed is not Billed.NO:
                self._api.close()  # a late answer on this connection would be read as that of the next request
                if answer.status_code == 200:
                    error.body = self.masked(text).encode("utf-8", "replace")
            raise

    def _cleaned(self, answer: Pictures | Task) -> Pictures | Task:
        """The answer with the key masked in bytes that could not be read, because they may be kept as a file."""
        if isinstance(answer, Task) or not any(image.raw for image in answer.images):
            return answer
        raws = [self.masked(image.raw.decode("utf-8", "replace")).encode() for image in answer.images]
        return replace(answer, images=tuple(map(lambda image, raw: replace(image, raw=raw), answer.images, raws)))

    def reread(self, request: ImageRequest, text: str) -> Pictures | Task:
        """Parse a kept answer like a new one.

        Raises:
            DuomiError: it still cannot be read.
        """
        has_tasks = ROUTES[request.protocol].task_path is not None
        return parse_submission(parse_json(200, text, masked=self.masked), has_tasks=has_tasks)

    def poll(self, request: ImageRequest, task_id: str) -> Pictures | Waiting | Empty:
        """Poll a task once; free of charge.

        Raises:
            PromptRefused, TaskFailed: the service ended the task.
            TaskDenied: it does not show this task.
            ServiceBusy, RateLimited: this poll failed; the task continues.
        """
        path = ROUTES[request.protocol].task_path
        if path is None:
            raise ConfigurationError(f"protocol {request.protocol} has no tasks; check DUOMI_PROTOCOL")
        url = self._base_url + path.format(task_id=quote(task_id, safe=""))
        try:
            with self._api.get(url, timeout=self._timeouts, stream=True) as answer:
                text = self._text(answer)
        except BROKEN as error:
            raise ServiceBusy(words_of(error, url, self.masked)) from error
        except (BadImage, Redirected) as error:
            raise ServiceBusy(error.message) from error
        if answer.status_code == 404:
            raise TaskDenied("the service does not know the task", "404")
        try:
            body = self._body(answer, text, of_task=True)
        except (
            AccountError,
            Forbidden,
            PromptRefused,
        ) as error:  # an error of this poll; only the state in the answer ends a task
            raise TaskDenied(error.message, error.code) from error
        except (RateLimited, ServiceBusy):
            raise
        except DuomiError as error:  # a 504, "no such model" or a limit is about this poll, not about the task
            if isinstance(error, NotUnderstood):
                self._api.close()  # as in `submit`
            raise ServiceBusy(error.message, error.code) from error
        return parse_task(body)

    def download(self, url: str, into: IO[bytes]) -> None:
        """Download a picture into an open file.

        Args:
            url: its address; may be relative to the service.
            into: the file, open for writing.

        Raises:
            OSError: the file cannot be written.
            BadImage: the address is not http(s), or the picture is too large.
            NotDownloaded: the download was cut off, or the host cannot be reached or refuses.
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
            raise BadImage("the picture's address is invalid") from error
        except BROKEN as error:
            words = words_of(error, address, self.masked)
            raise NotDownloaded(f"the picture could not be downloaded: {words}") from error
        raise NotDownloaded(f"the picture's host redirects more than {MAX_REDIRECTS} times")

    def check_key(self) -> None:
        """Ask the service, free of charge, whether it accepts the key.

        Raises:
            AccountError: it does not.
            NotSent: nothing can be sent until the user fixes something on this machine.
            ServiceBusy: it did not answer properly.
        """
        url = self._base_url + KEY_PROBE_PATH
        try:
            with self._api.get(url, timeout=self._timeouts, stream=True) as answer:
                status = answer.status_code
        except BROKEN as error:
            found = error_of_call(error, url, self.masked)
            raise found if isinstance(found, NotSent) else ServiceBusy(found.message) from error
        if status in (401, 403):
            raise AccountError("The service does not accept the key. Check DUOMI_API_KEY.", str(status))
        if status not in (200, 400, 404, 422):
            raise ServiceBusy(f"the service answered HTTP {status}", str(status))

    def _text(self, answer: requests.Response) -> str:
        """The body. A large one is made ASCII: one emoji in it would make Python use four bytes per character."""
        if 300 <= answer.status_code < 400:
            raise Redirected(f"the service redirects (HTTP {answer.status_code}); check DUOMI_BASE_URL")
        body = bytearray()
        for piece in _limited(answer, MAX_ANSWER_BYTES):
            body += piece
        if len(body) > _SMALL and not body.isascii():
            return _as_ascii(body)
        return body.decode("utf-8-sig", "replace")

    def _body(
        self, answer: requests.Response, text: str, *, of_task: bool = False, prompt: str = ""
    ) -> dict[str, object]:
        retry_after = _retry_after(answer)
        return parse_json(answer.status_code, text, retry_after, of_task=of_task, masked=self.masked, prompt=prompt)


class _Login(AuthBase):
    """Sets the `Authorization` header, or none. Also keeps `requests` from using a login of the user's `.netrc`."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        if not (self._header.isascii() and self._header.isprintable()):
            raise NotSent("DUOMI_API_KEY holds characters that no key has; copy it again")
        if self._header:
            prepared.headers["Authorization"] = self._header
        return prepared


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
    """Write a download in pieces, because many large pictures may arrive at the same time.

    Raises:
        BadImage: it is too large.
        NotDownloaded: the host refuses.
    """
    status = answer.status_code
    if status != 200:
        raise NotDownloaded(f"the picture's host answered HTTP {status}", str(status), definite=str(status) in GONE)
    for piece in _limited(answer, MAX_IMAGE_BYTES):
        into.write(piece)


def _limited(answer: requests.Response, limit: int) -> Iterator[bytes]:
    """The body in pieces; urllib3 raises if it ends before its announced length."""
    total = 0
    for chunk in answer.iter_content(_CHUNK):
        total += len(chunk)
        if total > limit:
            raise BadImage(f"the answer is larger than {limit // 1_000_000} MB")
        yield chunk


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
        except (
            ValueError,
            OverflowError,
            TypeError,
            IndexError,
            AttributeError,
        ):  # for texts that only look like a date
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _as_ascii(body: bytearray) -> str:
    """JSON with all characters outside ASCII as escapes, converted in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    pieces = (decoder.decode(body[at : at + _SMALL]) for at in range(0, len(body), _SMALL))
    return "".join(piece.encode("ascii", _JSON_ESCAPE).decode("ascii") for piece in pieces)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


_JSON_ESCAPE = "duomi.json-escape"
codecs.register_error(_JSON_ESCAPE, _escaped)
