"""Reading answers: the shapes seen in the wild become one type each, everything else a named error.

Sending, downloading and time-outs are the client's.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from duomi_pipeline.duomi.errors import BadImage, DuomiError, PromptRefused, TaskFailed, classify

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
_MAX_MESSAGE = 300


@dataclass(frozen=True)
class Image:
    """One picture of an answer: an address to download, the bytes themselves, or both."""

    url: str | None = None
    data: bytes | None = None


@dataclass(frozen=True)
class Pictures:
    """An answer that holds pictures, and the seed the service says it used."""

    images: tuple[Image, ...]
    seed: int | None = None


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
        if has_tasks and isinstance(holder, dict):
            task_id = holder.get("task_id") or holder.get("id")
            if isinstance(task_id, str | int) and str(task_id).strip():
                return Task(str(task_id))
    raise NotUnderstood(_message(body) or "the answer holds neither pictures nor a task id")


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
    return {str(word).strip().lower() for word in found if word is not None}


def _images(body: Any) -> tuple[Image, ...]:
    """All pictures under `images` or `data`, down to three levels; told under both, they are joined one by one."""
    for _ in range(3):
        if not isinstance(body, dict):
            break
        lists = [entries for name in ("images", "data") if isinstance(entries := body.get(name), list)]
        found = [images for entries in lists if (images := tuple(filter(None, map(_image, entries))))]
        if len(found) == 2 and len(found[0]) == len(found[1]):
            return tuple(Image(one.url or other.url, one.data or other.data) for one, other in zip(*found, strict=True))
        if found:
            return found[0]
        body = body.get("data")
    return ()


def _image(entry: Any) -> Image | None:
    if isinstance(entry, str):
        if not entry.strip():
            return None
        return Image(data=_decoded(entry)) if entry.startswith("data:") else Image(url=entry)
    if not isinstance(entry, dict):
        return None
    encoded, url = entry.get("b64_json"), entry.get("url")
    told = _image(url) if isinstance(url, str) else None
    if isinstance(encoded, str) and encoded:
        return Image(told.url if told else None, _decoded(encoded))
    return told


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
    return str(body.get("code") if code is None else code).strip().lower()


def _message(body: Any) -> str:
    """The error text, from the first of the places where services put it."""
    if isinstance(body, str):
        return body.strip()[:_MAX_MESSAGE]
    if not isinstance(body, dict):
        return ""
    error, data = body.get("error"), body.get("data")
    places = [
        error.get("message") if isinstance(error, dict) else error,
        *(body.get(name) for name in ("message", "msg", "detail", "description")),
        *(data.get(name) for name in ("description", "msg", "message") if isinstance(data, dict)),
    ]
    return next((p.strip()[:_MAX_MESSAGE] for p in places if isinstance(p, str) and p.strip()), "")


def _plain(text: str) -> str:
    """The readable part of a body that is not JSON, such as a proxy's HTML page."""
    return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text[:5000], flags=re.DOTALL).split())[
        :_MAX_MESSAGE
    ]
