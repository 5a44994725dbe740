"""Find the pictures in an answer: addresses and bytes, in all places and forms that services use.

Downloading an address is in `client`; decoding a picture is in `images`.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

_MAX_URL = 20_000  # characters
_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif")
_SHORTEST_BASE64 = 64  # characters; the smallest PNG there is has 90
_MAX_PICTURES = 16  # of one answer; no service delivers more
_DEPTH = 3  # levels of nested objects that are searched
# How base64 of PNG, JPEG (in both alphabets), WebP and GIF begins: such a text is no address.
_BASE64_HEADS = ("iVBORw0KGgo", "/9j/", "_9j_", "UklGR", "R0lGOD")
_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True)
class Image:
    """One picture of an answer: an address to download, the bytes themselves, or both.

    Attributes:
        problem: why it has neither, although the answer has an entry for it; then `raw` is this entry.
    """

    url: str | None = None
    data: bytes | None = None
    problem: str = ""
    raw: bytes = b""


def has_pictures(body: Any) -> bool:
    """Whether an answer has entries for pictures; decodes none."""
    return any(_is_picture(entry) for entries in _lists(body) for entry in entries[: 4 * _MAX_PICTURES])


def pictures_in(body: Any) -> tuple[Image, ...]:
    """All pictures under `images` or `data`; if both have them, they are joined one by one."""
    found = [images for entries in _lists(body) if (images := _usable(entries))]
    if len(found) == 2 and len(found[0]) == len(found[1]):
        return tuple(Image(one.url or other.url, one.data or other.data) for one, other in zip(*found, strict=True))
    return found[0] if found else ()


def scalar(value: Any) -> str:
    """A text or number as text; empty for any other type."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value).strip()


def _lists(body: Any) -> list[list[Any]]:
    """The lists with pictures, of the outermost object that has any."""
    for _ in range(_DEPTH):
        if not isinstance(body, dict):
            break
        lists = [entries for name in ("images", "data") if isinstance(entries := body.get(name), list)]
        if any(_is_picture(entry) for entries in lists for entry in entries):
            return lists
        if isinstance(body.get("b64_json"), str):  # in a stream the event itself is the entry
            return [[body]]
        body = body.get("data")
    return []


def _is_picture(entry: Any) -> bool:
    if isinstance(entry, dict):
        return any(isinstance(entry.get(name), str) and entry[name].strip() for name in ("url", "b64_json"))
    return isinstance(entry, str) and bool(entry.strip()) and not _is_prose(entry.strip())


def _is_prose(text: str) -> bool:
    """Whether a text is prose, such as the field names in an error: neither an address nor base64."""
    if " " in text and "://" not in text and not text.startswith("data:"):
        return True
    if text.startswith(("data:", *_BASE64_HEADS)) or "/" in text or len(text) >= _SHORTEST_BASE64:
        return False
    return not text.lower().endswith(_PICTURE_ENDINGS)


def _usable(entries: list[Any]) -> tuple[Image, ...]:
    return tuple(islice(_images(entries), _MAX_PICTURES))


def _images(entries: list[Any]) -> Iterator[Image]:
    for entry in filter(_is_picture, entries):
        if isinstance(entry, str):
            yield _of_text(entry.strip())
            continue
        encoded, url = entry.get("b64_json"), entry.get("url")
        from_url = _of_text(url.strip()) if isinstance(url, str) and url.strip() else None
        if not (isinstance(encoded, str) and encoded.strip()):
            yield from_url or Image(problem="the picture's address is invalid")
            continue
        inside = _decoded(encoded)
        yield inside if from_url is None or from_url.url is None else Image(from_url.url, inside.data, raw=inside.raw)


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
