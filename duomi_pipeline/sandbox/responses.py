"""The shapes of the service's answers, in each protocol.

What is answered is decided in `submissions` and `tasks`; here it gets its keys and words.
"""

import base64
import math
from collections.abc import Sequence
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.journal import Purchase
from duomi_pipeline.sandbox.pictures import HTML_PAGE
from duomi_pipeline.sandbox.plays import Play
from duomi_pipeline.sandbox.protocols import Protocol, ServiceError

# All words that the service is known to use; numbers are sent as numbers.
DONE_WORDS = ("succeeded", "success", "completed", "complete", "finished", "done", "succeed", "3")
FAILED_WORDS = (
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
)
WAITING_WORDS = ("pending", "queued", "submitted", "processing", "running", "in_progress", "1")

REFUSED = "Your request was rejected: the prompt may violate our content policy."
FAILED = "Generation failed: the upstream returned no result."

Entry = dict[str, Any] | str


def error_answer(error: ServiceError, protocol: Protocol) -> Response:
    """A refusal as the protocol words it."""
    headers = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
    if error.html:
        return HTMLResponse(HTML_PAGE, error.status, headers)
    content: dict[str, Any] | str
    if protocol == "openai":
        content = {"error": {"message": error.message, "type": "invalid_request_error", "code": error.code}}
    elif protocol != "siliconflow":
        content = {"code": error.code, "msg": error.message}
    elif error.status == 401:
        content = error.message
    else:
        content = {"code": error.code, "message": error.message, "data": None}
    return JSONResponse(content, error.status, headers)


def played_answer(play: Play) -> Response:
    """A scripted answer, as it is written."""
    return Response(play.body, play.status, play.headers, play.media_type)


def submitted_answer(purchase: Purchase) -> dict[str, Any]:
    """The answer to a submission whose pictures are to be polled for."""
    if purchase.protocol == "nano_banana":
        return {"code": 200, "msg": "success", "data": {"task_id": purchase.token}}
    return {"id": purchase.token}


def pictures_answer(
    purchase: Purchase, faults: Faults, base_url: str, inline: Sequence[bytes], seconds: float
) -> dict[str, Any]:
    """The answer to a submission with its pictures.

    Args:
        purchase: What was bought.
        faults: In force now.
        base_url: Start of the pictures' URLs.
        inline: The pictures themselves, if they are to be in the answer.
        seconds: How long it took.
    """
    urls = _urls(purchase, faults, base_url)
    by_url: list[Entry] = [url if faults.answer == "url_string" else {"url": url} for url in urls]
    by_value = [{"b64_json": _base64(content, purchase, faults)} for content in inline]
    images = {"images": by_url, "timings": {"inference": round(seconds, 3)}, "seed": purchase.seed}
    created = int(purchase.at)
    if faults.answer == "both":
        both = [{"url": url, **value} for url, value in zip(urls, by_value, strict=True)]
        return {**images, "created": created, "data": both, **faults.success}
    if not inline and purchase.protocol == "siliconflow":
        return {**images, **faults.success}
    data = by_value or by_url
    revised = {"revised_prompt": purchase.prompt}
    entries = [entry if isinstance(entry, str) else {**entry, **revised} for entry in data]
    return {"created": created, "data": entries, **faults.success}


def waiting_answer(purchase: Purchase, faults: Faults, share: float) -> dict[str, Any]:
    """The state of a task that is not done; the share that is done is shown for some tasks only."""
    word = _word(WAITING_WORDS, faults.draw("waiting_word", purchase.key, purchase.polls))
    progress = int(share * 100) if faults.draw("progress", purchase.key) < 0.5 else 0
    return _task(purchase, word, progress, [], "")


def failed_answer(purchase: Purchase, faults: Faults) -> dict[str, Any]:
    """The state of a task that was refused or has failed."""
    word = faults.failed_word or _word(FAILED_WORDS, faults.draw("failed_word", purchase.key))
    return _task(purchase, word, 0, [], REFUSED if purchase.outcome == "refused" else faults.task_reason or FAILED)


def done_answer(purchase: Purchase, faults: Faults, base_url: str) -> dict[str, Any]:
    """The state of a task that is done, with its pictures."""
    images: list[Entry] = []
    for index, url in enumerate(_urls(purchase, faults, base_url)):
        entry = {"url": url, "file_name": faults.told_file_name or f"{purchase.token}_{index}.png"}
        images.append(url if faults.answer == "url_string" else entry)
    return _done(purchase, faults, images, "")


def empty_answer(purchase: Purchase, faults: Faults) -> dict[str, Any]:
    """The state of a task that is done and has no picture."""
    return _done(purchase, faults, [], faults.task_reason)


def _done(purchase: Purchase, faults: Faults, images: list[Entry], text: str) -> dict[str, Any]:
    word = faults.done_word or _word(DONE_WORDS, faults.draw("done_word", purchase.key))
    return {**_task(purchase, word, 100, images, text), **faults.success}


def _task(purchase: Purchase, word: str, progress: int, images: list[Entry], text: str) -> dict[str, Any]:
    state = int(word) if word.isdecimal() else word
    if purchase.protocol == "nano_banana":
        data = {"images": images, "description": text}
        task = {"task_id": purchase.token, "state": state, "status": state, "msg": text, "data": data}
        return {"code": 200, "msg": "success", "data": task}
    data = {"images": images, "description": text}
    return {"id": purchase.token, "state": state, "progress": progress, "data": data}


def _base64(content: bytes, purchase: Purchase, faults: Faults) -> str:
    if faults.answer == "b64_urlsafe":
        return base64.urlsafe_b64encode(content).decode().rstrip("=")
    prefix = f"data:image/{purchase.image_format};base64," if faults.answer == "b64_data_uri" else ""
    return prefix + base64.b64encode(content).decode()


def _urls(purchase: Purchase, faults: Faults, base_url: str) -> list[str]:
    if faults.told_url is not None:
        return [faults.told_url] * purchase.pictures
    base = "" if faults.answer == "relative_url" else base_url
    return [f"{base}/files/{purchase.token}_{index}.png" for index in range(purchase.pictures)]


def _word(words: Sequence[str], draw: float) -> str:
    return words[int(draw * len(words))]
