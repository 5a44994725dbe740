"""Parse the answers of the service: each known form becomes one type, anything else a named error.

Extracting the JSON is in `framing`, classifying errors in `classify`, finding pictures in `pictures`, and sending and
downloading in `client`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from duomi_pipeline.common.text import one_line
from duomi_pipeline.duomi.classify import classify, is_about_content
from duomi_pipeline.duomi.errors import NotUnderstood, PromptRefused, TaskFailed
from duomi_pipeline.duomi.framing import load_json
from duomi_pipeline.duomi.pictures import Image, has_pictures, pictures_in, scalar
from duomi_pipeline.duomi.reactions import Billed

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
_FINE_WORDS = re.compile(r"\s*(success(ful(ly)?)?|succeeded|ok|成功|操作成功|请求成功)[\s.!。！]*", re.IGNORECASE)
# In a longer text, whatever the code: no service describes a failure with these words.
_SPEAKS_OF_SUCCESS = re.compile(r"\bsuccess(ful(ly)?)?\b|\bsucceeded\b|^\s*ok\s*$|(?<!不)(?<!未)成功", re.IGNORECASE)
# Fields that an error answer has; any other field may hold what was bought.
_OF_ERRORS = {"error", "data", "detail", "errors", "usage", "metadata", "timings"}
_MAX_MESSAGE = 300  # characters of the service's message
_MAX_PAGE = 5_000  # characters of an HTML page that are searched for a message
_MAX_CODE = 80  # characters
_MAX_TASK_ID = 500  # characters


@dataclass(frozen=True)
class Pictures:
    """An answer with pictures, the seed that the service reports, and the task of the pictures, if any."""

    images: tuple[Image, ...]
    seed: int | None = None
    task_id: str | None = None


@dataclass(frozen=True)
class Task:
    """An accepted asynchronous task."""

    id: str


@dataclass(frozen=True)
class Waiting:
    """A task that is not done yet, or that has an unknown state."""


@dataclass(frozen=True)
class Empty:
    """A task that is done without a picture; some services deliver it a few polls later. With the service's message."""

    message: str


def parse_json(
    status: int,
    text: str,
    retry_after: float | None = None,
    *,
    of_task: bool = False,
    masked: Callable[[str], str] = str,
    prompt: str = "",
) -> dict[str, Any]:
    """The JSON object of an answer. An answer with pictures or a task is never an error, whatever its code.

    Args:
        status: HTTP status.
        text: body of the answer.
        retry_after: seconds of the `Retry-After` header.
        of_task: it answers a poll: `parse_task` reads the state of the task.
        masked: removes secrets from a text.
        prompt: the prompt of the request.

    Raises:
        DuomiError: HTTP status or body mean an error; also on HTTP 200.
        NotUnderstood: a success that is no JSON object.
    """
    body = load_json(text, masked)
    if status < 400 and isinstance(body, dict) and _brings_something(body, of_task=of_task):
        return body
    code, message = _code(body), _message(body) or _plain(text, masked) or f"HTTP {status} without a text"
    if status >= 400:
        words = _words_beside(body)
        code = code if code not in _FINE_CODES else ""
        raise classify(status, code, message, retry_after, words=words, is_own=body is not None, prompt=prompt)
    if not isinstance(body, dict):
        if body is not None and (refused := _refused(message, prompt)):
            raise refused
        raise NotUnderstood(f"the answer is not JSON as agreed: {message if text.strip() else 'empty'}", str(status))
    is_fine = code in _FINE_CODES or _SPEAKS_OF_SUCCESS.search(message) or _says_more(body)
    if body.get("error") or body.get("success") is False or not is_fine:
        as_status = int(code) if re.fullmatch(r"[45]\d\d", code) else 400
        raise classify(as_status, code, message, retry_after, words=_words_beside(body), prompt=prompt)
    return body


def _says_more(body: dict[str, Any]) -> bool:
    """Whether it has more fields than an error answer: they may hold a picture in an unknown form."""
    return any(isinstance(value, list | dict) and value for name, value in body.items() if name not in _OF_ERRORS)


def parse_submission(body: dict[str, Any], *, has_tasks: bool, prompt: str = "") -> Pictures | Task:
    """The answer to a POST: pictures (also from an asynchronous route), or a task where the route has tasks.

    Raises:
        PromptRefused: neither, and the message is a refusal; it may still be billed.
        NotUnderstood: neither, and no refusal.
    """
    if images := pictures_in(body):
        return Pictures(images, _seed(body))
    for holder in (body, body.get("data")):
        if has_tasks and isinstance(holder, dict) and (task_id := _task_id(holder)):
            return Task(task_id)
    message = _message(body)
    if refused := _refused(message, prompt):
        raise refused
    raise NotUnderstood(message or "the answer holds neither pictures nor a task id", "200")


def _refused(message: str, prompt: str) -> PromptRefused | None:
    """The refusal in the message of a success without a picture, if there is one; it may be billed."""
    error = classify(200, "", message, prompt=prompt)
    if not isinstance(error, PromptRefused):
        return None
    error.billed = Billed.MAYBE
    return error


def _named_task(body: dict[str, Any]) -> bool:
    """Whether it has a `task_id`; an `id` alone may belong to anything."""
    return any(scalar(holder.get("task_id")) for holder in (body, body.get("data")) if isinstance(holder, dict))


def _task_id(holder: dict[str, Any]) -> str | None:
    """The id of a task, if it can be stored and used in a path (`..` cannot)."""
    found = scalar(holder.get("task_id")) or scalar(holder.get("id"))
    usable = found.isprintable() and len(found) <= _MAX_TASK_ID and found not in (".", "..")
    return found if found and usable else None


def parse_task(body: dict[str, Any]) -> Pictures | Waiting | Empty:
    """The answer to a poll.

    Raises:
        PromptRefused: the task failed because of its content.
        TaskFailed: the task failed for another reason.
    """
    inner, words = body.get("data"), _words(body)
    message = _message(inner) or _message(body)
    if words & _FAILED:
        message = message or "the service says that the task failed"
        raise (PromptRefused(message, "task") if is_about_content(message) else TaskFailed(message, "task"))
    if words & _DONE:
        if images := pictures_in(body):
            return Pictures(images, _seed(body))
        # Beside "running", a "success" describes the poll, not the task.
        return Empty(message) if words <= _DONE | _FINE_CODES else Waiting()
    return Waiting()


def _words(body: dict[str, Any]) -> set[str]:
    """The state words of a task, from all places where services put them."""
    holders = [holder for holder in (body, body.get("data")) if isinstance(holder, dict)]
    found = (holder.get(name) for holder in holders for name in ("state", "status"))
    return {scalar(word).lower() for word in found}


def _seed(body: dict[str, Any]) -> int | None:
    seed = body.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 else None


def _code(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return one_line(scalar(body.get("code") if code is None else code), _MAX_CODE).lower()


def _words_beside(body: Any) -> list[str]:
    """Further codes and types of an error, from the places where services put them."""
    if not isinstance(body, dict):
        return []
    holders = [holder for holder in (body, body.get("error"), body.get("data")) if isinstance(holder, dict)]
    found = (holder.get(name) for holder in holders for name in ("code", "type", "status", "reason"))
    return [word for value in found if (word := one_line(scalar(value), _MAX_CODE).lower())]


def _message(body: Any) -> str:
    """The error text, from the first of the places where services put it."""
    if isinstance(body, str):
        return one_line(body, _MAX_MESSAGE)
    if not isinstance(body, dict):
        return ""
    error, data, detail = body.get("error"), body.get("data"), body.get("detail")
    first = detail[0] if isinstance(detail, list) and detail else None
    places = [
        error.get("message") if isinstance(error, dict) else error,
        *(body.get(name) for name in ("message", "msg", "detail", "description")),
        first.get("msg") if isinstance(first, dict) else first,
        *(data.get(name) for name in ("description", "msg", "message", "error", "reason") if isinstance(data, dict)),
        *(body.get(name) for name in ("reason", "fail_reason", "finish_reason", "error_message")),
    ]
    texts = [one_line(place, _MAX_MESSAGE) for place in places if isinstance(place, str) and place.strip()]
    # A text like "success" is used only if there is no other text.
    return next((text for text in texts if not _FINE_WORDS.fullmatch(text)), texts[0] if texts else "")


def _brings_something(body: dict[str, Any], *, of_task: bool) -> bool:
    return has_pictures(body) or bool(_named_task(body)) or (of_task and bool(_words(body) & (_FAILED | _DONE)))


def _plain(text: str, masked: Callable[[str], str]) -> str:
    """The readable text of a body that is not JSON, such as a proxy's HTML page; masked before it is shortened."""
    page = masked(text[: 2 * _MAX_PAGE])[:_MAX_PAGE]
    return one_line(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL), _MAX_MESSAGE)
