"""The JSON inside an answer's body: out of blank lines, comments that keep a connection open, server-sent events."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from duomi_pipeline.duomi.pictures import has_pictures

_MAX_WORDS = 100_000  # characters of a text that are looked through for secrets; no more of it is ever shown
_DEEPEST = 50  # values inside of each other; nothing is read from below
_PICTURES = {"url", "b64_json", "images", "data"}  # fields whose texts are addresses and bytes, not words
_SSE_FIELDS = ("data:", "event:", "id:", "retry:", ":")


def load_json(text: str, masked: Callable[[str], str] = str) -> Any:
    """The value that a body holds, `None` where it holds none; of several events the one with pictures, else the last.

    Args:
        text: the body.
        masked: applied to every text in it once it is decoded: services write a `/` as `\\/` or a letter as `\\u0073`.
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
    """The picture of an event that tells of one; of one that tells of several the first list is taken as it is."""
    lists = [event[name] for name in ("images", "data") if isinstance(event.get(name), list) and event[name]]
    return lists[0][0] if lists else event


def _parts(text: str) -> Iterator[str]:
    """What may be JSON: the body as it is, or the data of each event."""
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
    """The value without secrets; what stands under `name` is no words where that is a picture's field."""
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
