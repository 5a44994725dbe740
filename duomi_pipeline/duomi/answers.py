"""Reading answers: the shapes seen in the wild become one type each, everything else a named error.

Sending, downloading and time-outs are the client's.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

from duomi_pipeline.duomi.errors import BadImage, DuomiError, PromptRefused, TaskFailed, classify
from duomi_pipeline.text import one_line

_DONE = {"succeeded", "success", "completed", "complete", "finished", "done", "succeed", "3"}
_FAILED = {
    "failed",
    "failure",
    "fail",
    "error",
    "cancelled",
    "canceled",
    "rejected",
    "aborted",
    "expired",
    "2",
}
_FINE_CODES = {"", "0", "200", "success", "none"}
_CONTENT_WORDS = re.compile(
    r"(?<!no )content|moderat|sensitive|policy|safety|nsfw|prohibited|违规|敏感|审核", re.IGNORECASE
)
_MAX_MESSAGE = 300  # characters of the service's words
_MAX_PAGE = 5_000  # characters of a page that are looked at for words
_MAX_CODE = 40  # characters
_MAX_TASK_ID = 500  # characters
_MAX_URL = 20_000  # characters
_MAX_PICTURES = 16  # of one answer; nobody sells that many


@dataclass(frozen=True)
class Image:
    """One picture of an answer: an address to download, the bytes themselves, or both."""

    url: str | None = None
    data: bytes | None = None


@dataclass(frozen=True)
class Pictures:
    """An answer that holds pictures, the seed the service says it used, and the task they came from, if any."""

    images: tuple[Image, ...]
    seed: int | None = None
    task_id: str | None = None


@dataclass(frozen=True)
class Task:
    """An accepted asynchronous task."""

    id: str


@dataclass(frozen=True)
class Waiting:
    """A task that is not done yet, or whose state says nothing we know."""


def parse_json(status: int, text: str, retry_after: float | None = None, *, of_task: bool = False) -> dict[str, Any]:
    """The answer's object; the state of a task is left to `parse_task`, whatever code stands beside it.

    Raises:
        DuomiError: HTTP status or body tell of an error; also on HTTP 200.
        NotUnderstood: a success that is no JSON object.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    code, message = _code(body), _message(body) or _plain(text) or f"HTTP {status} without a text"
    if status >= 400:
        raise classify(status, code if code not in _FINE_CODES else "", message, retry_after)
    if isinstance(body, dict) and code not in _FINE_CODES and not (of_task and _words(body) & _FAILED):
        raise classify(int(code) if re.fullmatch(r"[45]\d\d", code) else 400, code, message, retry_after)
    if not isinstance(body, dict):
        raise NotUnderstood(f"the answer is not JSON as agreed: {_plain(text) or 'empty'}")
    return body


class NotUnderstood(DuomiError):  # noqa: N818
    """A success whose body says nothing we know; whether it was billed is unknown."""

    error_class = "not_understood"


def parse_submission(body: dict[str, Any], *, has_tasks: bool) -> Pictures | Task:
    """The answer to a POST: pictures (also from an asynchronous route), or a task where the route has tasks.

    Raises:
        NotUnderstood: neither.
    """
    images = _images(body)
    if images:
        return Pictures(images, _seed(body))
    for holder in (body, body.get("data")):
        if has_tasks and isinstance(holder, dict) and (task_id := _task_id(holder)):
            return Task(task_id)
    raise NotUnderstood(_message(body) or "the answer holds neither pictures nor a task id")


def _task_id(holder: dict[str, Any]) -> str | None:
    """The id of a task, if it is one that can be kept and asked for: in a path, `..` would lead elsewhere."""
    found = _scalar(holder.get("task_id")) or _scalar(holder.get("id"))
    usable = found.isprintable() and len(found) <= _MAX_TASK_ID and found not in (".", "..")
    return found if found and usable else None


def parse_task(body: dict[str, Any]) -> Pictures | Waiting:
    """The answer to a poll.

    Raises:
        PromptRefused: the task failed for its content.
        TaskFailed: the service says that it failed.
    """
    inner, words = body.get("data"), _words(body)
    if words & _FAILED:
        message = _message(inner) or _message(body) or "the service says that the task failed"
        raise (PromptRefused(message, "task") if _CONTENT_WORDS.search(message) else TaskFailed(message, "task"))
    if words & _DONE and (images := _images(body)):
        return Pictures(images, _seed(body))
    return Waiting()  # "succeeded" without a picture happens: the picture comes a few polls later


def _words(body: dict[str, Any]) -> set[str]:
    """The state words of a task, wherever they stand."""
    holders = [holder for holder in (body, body.get("data")) if isinstance(holder, dict)]
    found = (holder.get(name) for holder in holders for name in ("state", "status"))
    return {_scalar(word).lower() for word in found}


def _scalar(value: Any) -> str:
    """A word or number as text; anything else, which may be long or deep, is nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value).strip()


def _images(body: Any) -> tuple[Image, ...]:
    """All pictures under `images` or `data`, down to three levels; told under both, they are joined one by one."""
    for _ in range(3):
        if not isinstance(body, dict):
            break
        lists = [entries for name in ("images", "data") if isinstance(entries := body.get(name), list)]
        found = [images for entries in lists if (images := _usable(entries))]
        if len(found) == 2 and len(found[0]) == len(found[1]):
            return tuple(Image(one.url or other.url, one.data or other.data) for one, other in zip(*found, strict=True))
        if found:
            return found[0]
        body = body.get("data")
    return ()


def _usable(entries: list[Any]) -> tuple[Image, ...]:
    return tuple(islice(filter(None, map(_image, entries)), _MAX_PICTURES))


def _image(entry: Any) -> Image | None:
    if isinstance(entry, str):
        if not (entry := entry.strip()):
            return None
        return Image(data=_decoded(entry)) if entry.startswith("data:") else Image(url=_url(entry))
    if not isinstance(entry, dict):
        return None
    encoded, url = entry.get("b64_json"), entry.get("url")
    told = _image(url) if isinstance(url, str) else None
    if isinstance(encoded, str) and encoded:
        return Image(told.url if told else None, _decoded(encoded))
    return told


def _url(text: str) -> str:
    """An address that can be written down; whether it leads to a picture is seen by the client."""
    if len(text) > _MAX_URL or not text.isprintable():
        raise BadImage("the picture's address is none")
    return text


def _decoded(text: str) -> bytes:
    """The bytes of base64 text, with or without a `data:` prefix."""
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(encoded, validate=False)
    except (binascii.Error, ValueError) as error:
        raise BadImage(f"the answer's base64 is broken: {error}") from error


def _seed(body: dict[str, Any]) -> int | None:
    seed = body.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 else None


def _code(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return one_line(_scalar(body.get("code") if code is None else code), _MAX_CODE).lower()


def _message(body: Any) -> str:
    """The error text, from the first of the places where services put it."""
    if isinstance(body, str):
        return one_line(body, _MAX_MESSAGE)
    if not isinstance(body, dict):
        return ""
    error, data = body.get("error"), body.get("data")
    places = [
        error.get("message") if isinstance(error, dict) else error,
        *(body.get(name) for name in ("message", "msg", "detail", "description")),
        *(data.get(name) for name in ("description", "msg", "message") if isinstance(data, dict)),
    ]
    return next((one_line(p, _MAX_MESSAGE) for p in places if isinstance(p, str) and p.strip()), "")


def _plain(text: str) -> str:
    """The readable part of a body that is not JSON, such as a proxy's HTML page."""
    page = text[:_MAX_PAGE]
    return one_line(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL), _MAX_MESSAGE)
