"""Reading answers: the shapes seen in the wild become one type each, everything else a named error.

What wraps the JSON is `framing`'s, what an error's codes and words mean `classify`'s, the pictures in it `pictures`'s;
sending, downloading and time-outs are the client's.
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
from duomi_pipeline.duomi.policy import Billed

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
# Inside a longer text, whatever code stands beside it: nobody calls a failure so.
_SPEAKS_OF_SUCCESS = re.compile(r"\bsuccess(ful(ly)?)?\b|\bsucceeded\b|^\s*ok\s*$|(?<!不)(?<!未)成功", re.IGNORECASE)
# Fields of an answer that tells of an error, beside which others may hold what was bought.
_OF_ERRORS = {"error", "data", "detail", "errors", "usage", "metadata", "timings"}
_MAX_MESSAGE = 300  # characters of the service's words
_MAX_PAGE = 5_000  # characters of a page that are looked at for words
_MAX_CODE = 80  # characters
_MAX_TASK_ID = 500  # characters


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


@dataclass(frozen=True)
class Empty:
    """A task that is done and has no picture (yet: some tell their pictures a few polls later); the service's words."""

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
    """The answer's object. One that holds pictures or a task is no error, whatever code stands beside them.

    Args:
        status: of HTTP.
        text: of the answer, framed or not.
        retry_after: seconds of the header.
        of_task: the state of a task is left to `parse_task`.
        masked: takes secrets out of a text.
        prompt: that was asked for.

    Raises:
        DuomiError: HTTP status or body tell of an error; also on HTTP 200.
        NotUnderstood: a success that is no JSON object.
    """
    body = load_json(text, masked)
    code, message = _code(body), _message(body) or _plain(text, masked) or f"HTTP {status} without a text"
    if status >= 400:
        words = _words_beside(body)
        code = code if code not in _FINE_CODES else ""
        raise classify(status, code, message, retry_after, words=words, is_own=body is not None, prompt=prompt)
    if not isinstance(body, dict):
        if body is not None and (refused := _refused(message, prompt)):
            raise refused
        raise NotUnderstood(f"the answer is not JSON as agreed: {message if text.strip() else 'empty'}", str(status))
    if has_pictures(body) or _named_task(body) or (of_task and _words(body) & (_FAILED | _DONE)):
        return body
    is_fine = code in _FINE_CODES or _SPEAKS_OF_SUCCESS.search(message) or _says_more(body)
    if body.get("error") or body.get("success") is False or not is_fine:
        as_status = int(code) if re.fullmatch(r"[45]\d\d", code) else 400
        raise classify(as_status, code, message, retry_after, words=_words_beside(body), prompt=prompt)
    return body


def _says_more(body: dict[str, Any]) -> bool:
    """Whether it holds more than an error does: what it is may be a picture in a shape that nobody knows."""
    return any(isinstance(value, list | dict) and value for name, value in body.items() if name not in _OF_ERRORS)


def parse_submission(body: dict[str, Any], *, has_tasks: bool, prompt: str = "") -> Pictures | Task:
    """The answer to a POST: pictures (also from an asynchronous route), or a task where the route has tasks.

    Raises:
        PromptRefused: neither, and the words say why; it may be billed all the same.
        NotUnderstood: neither.
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
    """The refusal that the words of a success without a picture tell of. Whether that was billed they do not say."""
    error = classify(200, "", message, prompt=prompt)
    if not isinstance(error, PromptRefused):
        return None
    error.billed = Billed.MAYBE
    return error


def _named_task(body: dict[str, Any]) -> bool:
    """Whether it says `task_id`; a bare `id` may be anything's."""
    return any(scalar(holder.get("task_id")) for holder in (body, body.get("data")) if isinstance(holder, dict))


def _task_id(holder: dict[str, Any]) -> str | None:
    """The id of a task, if it is one that can be kept and asked for: in a path, `..` would lead elsewhere."""
    found = scalar(holder.get("task_id")) or scalar(holder.get("id"))
    usable = found.isprintable() and len(found) <= _MAX_TASK_ID and found not in (".", "..")
    return found if found and usable else None


def parse_task(body: dict[str, Any]) -> Pictures | Waiting | Empty:
    """The answer to a poll.

    Raises:
        PromptRefused: the task failed for its content.
        TaskFailed: the service says that it failed.
    """
    inner, words = body.get("data"), _words(body)
    message = _message(inner) or _message(body)
    if words & _FAILED:
        message = message or "the service says that the task failed"
        raise (PromptRefused(message, "task") if is_about_content(message) else TaskFailed(message, "task"))
    if words & _DONE:
        if images := pictures_in(body):
            return Pictures(images, _seed(body))
        # "success" around a task that is "running" is the envelope's.
        return Empty(message) if words <= _DONE | _FINE_CODES else Waiting()
    return Waiting()


def _words(body: dict[str, Any]) -> set[str]:
    """The state words of a task, wherever they stand."""
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
    """Further words that say what an error is: types and codes in the places where services put them."""
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
    # "success" beside the reason why nothing was made says nothing.
    return next((text for text in texts if not _FINE_WORDS.fullmatch(text)), texts[0] if texts else "")


def _plain(text: str, masked: Callable[[str], str]) -> str:
    """The readable part of a body that is not JSON, such as a proxy's HTML page; masked before it is cut."""
    page = masked(text[: 2 * _MAX_PAGE])[:_MAX_PAGE]
    return one_line(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL), _MAX_MESSAGE)
