"""Extract the JSON from an answer's body, also from server-sent events and between keep-alive comments.

What the JSON means is in `answers`.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from duomi_pipeline.duomi.pictures import has_pictures

_MAX_WORDS = 100_000  # characters of a text in which secrets are masked; later ones are never shown
_DEEPEST = 50  # levels of nesting; deeper values are dropped
_PICTURES = {"url", "b64_json", "images", "data"}  # fields whose texts are addresses and bytes, not words
_SSE_FIELDS = ("data:", "event:", "id:", "retry:", ":")


def load_json(text: str, masked: Callable[[str], str] = str) -> Any:
    """The JSON value of a body, `None` if there is none. Of several events: the one with pictures, else the last.

    Args:
        text: the body.
        masked: applied to every decoded text; before decoding, `\\/` or `\\u0073` would hide a secret.
    """
    found, pictures = None, list[Any]()
    for part in _parts(text):
        try:
            value = _masked(json.loads(part), masked)
        except (ValueError, RecursionError):
            continue
        if _is_preview(value):
            continue
        if has_pictures(value):
            pictures.append(value)
        if not pictures or value is pictures[-1]:
            found = value
    return found if len(pictures) < 2 else {**pictures[-1], "data": [_entry(one) for one in pictures]}


def _entry(event: Any) -> Any:
    """The picture entry of an event; if it has a list of pictures, the first of them."""
    lists = [event[name] for name in ("images", "data") if isinstance(event.get(name), list) and event[name]]
    return lists[0][0] if lists else event


def _parts(text: str) -> Iterator[str]:
    """The parts that may be JSON: the whole body, or the data of each event."""
    if not text.lstrip()[:6].lower().startswith(_SSE_FIELDS):
        yield text
        return
    data: list[str] = []
    for line in [*re.split(r"\r\n|\n|\r", text), ""]:  # not `splitlines`: U+2028 may stand in a text
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").strip())
        elif not line.startswith(_SSE_FIELDS) and line.strip():
            data.append(line)  # no event: the JSON itself, behind comments
        elif not line.strip() and data:
            yield "\n".join(data)
            data = []


def _is_preview(value: Any) -> bool:
    """Whether it is an event with half a picture (`image_generation.partial_image`)."""
    return isinstance(value, dict) and "partial_image" in str(value.get("type"))


def _masked(value: Any, masked: Callable[[str], str], name: str = "", depth: int = 0) -> Any:
    """The value with secrets masked; texts in picture fields are left as they are.

    Args:
        name: the field that holds the value.
    """
    if isinstance(value, str):
        if name in _PICTURES:
            return value
        return masked(value[:_MAX_WORDS]) + value[_MAX_WORDS:]
    if isinstance(value, list | dict) and depth == _DEEPEST:
        return None
    if isinstance(value, list):
        return [_masked(entry, masked, name, depth + 1) for entry in value]
    if isinstance(value, dict):
        return {masked(key): _masked(entry, masked, key, depth + 1) for key, entry in value.items()}
    return value
