"""The pictures in an answer: addresses and bytes, in all the places and forms in which services put them."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

_MAX_URL = 20_000  # characters
_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif")
_SHORTEST_BASE64 = 64  # characters; the smallest PNG there is has 90
_MAX_PICTURES = 16  # of one answer; nobody sells that many
_DEPTH = 3  # objects inside of each other that are looked into
# How base64 of PNG, JPEG (in both alphabets), WebP and GIF begins: an entry that is such a text is no address.
_BASE64_HEADS = ("iVBORw0KGgo", "/9j/", "_9j_", "UklGR", "R0lGOD")
_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True)
class Image:
    """One picture of an answer: an address to download, the bytes themselves, or both.

    Attributes:
        problem: why it has neither, though the answer tells of a picture; then `raw` is what the answer has.
    """

    url: str | None = None
    data: bytes | None = None
    problem: str = ""
    raw: bytes = b""


def has_pictures(body: Any) -> bool:
    """Whether an answer tells of pictures; decodes none."""
    return any(_is_told(entry) for entries in _lists(body) for entry in entries[: 4 * _MAX_PICTURES])


def pictures_in(body: Any) -> tuple[Image, ...]:
    """All pictures under `images` or `data`; told under both, they are joined one by one."""
    found = [images for entries in _lists(body) if (images := _usable(entries))]
    if len(found) == 2 and len(found[0]) == len(found[1]):
        return tuple(Image(one.url or other.url, one.data or other.data) for one, other in zip(*found, strict=True))
    return found[0] if found else ()


def scalar(value: Any) -> str:
    """A word or number as text; anything else, which may be long or deep, is nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value).strip()


def _lists(body: Any) -> list[list[Any]]:
    """The lists that tell of pictures, of the outermost object that has such."""
    for _ in range(_DEPTH):
        if not isinstance(body, dict):
            break
        lists = [entries for name in ("images", "data") if isinstance(entries := body.get(name), list)]
        if any(_is_told(entry) for entries in lists for entry in entries):
            return lists
        if isinstance(body.get("b64_json"), str):  # an event of a stream is itself the entry
            return [[body]]
        body = body.get("data")
    return []


def _is_told(entry: Any) -> bool:
    if isinstance(entry, dict):
        return any(isinstance(entry.get(name), str) and entry[name].strip() for name in ("url", "b64_json"))
    return isinstance(entry, str) and bool(entry.strip()) and not _is_prose(entry.strip())


def _is_prose(text: str) -> bool:
    """Whether a bare text is words, such as the fields that an error names: neither an address nor base64."""
    if " " in text and "://" not in text and not text.startswith("data:"):
        return True
    if text.startswith(("data:", *_BASE64_HEADS)) or "/" in text or len(text) >= _SHORTEST_BASE64:
        return False
    return not text.lower().endswith(_PICTURE_ENDINGS)


def _usable(entries: list[Any]) -> tuple[Image, ...]:
    return tuple(islice(_images(entries), _MAX_PICTURES))


def _images(entries: list[Any]) -> Iterator[Image]:
    for entry in filter(_is_told, entries):
        if isinstance(entry, str):
            yield _of_text(entry.strip())
            continue
        encoded, url = entry.get("b64_json"), entry.get("url")
        told = _of_text(url.strip()) if isinstance(url, str) and url.strip() else None
        if not (isinstance(encoded, str) and encoded.strip()):
            yield told or Image(problem="the picture's address is invalid")
            continue
        inside = _decoded(encoded)
        yield inside if told is None or told.url is None else Image(told.url, inside.data, raw=inside.raw)


def _of_text(text: str) -> Image:
    if text.startswith(("data:", *_BASE64_HEADS)):
        return _decoded(text)
    if len(text) > _MAX_URL or not text.isprintable():
        return Image(problem="the picture's address is invalid", raw=text.encode("utf-8", "replace"))
    return Image(url=text)


def _decoded(text: str) -> Image:
    """The bytes of base64: with or without a `data:` prefix, line breaks and padding, in either alphabet."""
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    if "-" in encoded or "_" in encoded:
        encoded = encoded.translate(_URL_SAFE)
    if any(blank in encoded for blank in " \t\r\n"):
        encoded = "".join(encoded.split())
    encoded = encoded.rstrip("=")
    try:
        return Image(data=base64.b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError) as error:
        problem = f"the answer's base64 is broken: {error}"
        return Image(problem=problem, raw=text.encode("utf-8", "replace"))
