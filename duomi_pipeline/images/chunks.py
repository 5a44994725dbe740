"""PNG files as a row of chunks (PNG specification, section 5): walk them, check them, insert some.

What the chunks say belongs to `metadata`; pixels to `png`.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from duomi_pipeline.settings import Size

SIGNATURE = b"\x89PNG\r\n\x1a\n"


class BrokenPngError(ValueError):
    """The bytes are not a whole PNG file."""


class Chunk(NamedTuple):
    """One chunk, and where it begins and ends in the file."""

    kind: bytes
    data: memoryview
    start: int
    end: int


def walk(png: bytes) -> Iterator[Chunk]:
    """All chunks up to IEND, each with its checksum checked.

    Raises:
        BrokenPngError: no signature, cut off, or a checksum that does not fit.
    """
    if not png.startswith(SIGNATURE):
        raise BrokenPngError("not a PNG file")
    view, at = memoryview(png), len(SIGNATURE)
    while True:
        if at + 12 > len(png):
            raise BrokenPngError(f"cut off after {len(png)} bytes")
        (length,) = struct.unpack_from(">I", png, at)
        end = at + 12 + length
        if end > len(png):
            raise BrokenPngError(f"cut off after {len(png)} bytes")
        body = view[at + 4 : end - 4]
        if zlib.crc32(body) != struct.unpack_from(">I", png, end - 4)[0]:
            raise BrokenPngError(f"damaged in chunk {bytes(body[:4])!r}")
        yield Chunk(bytes(body[:4]), body[4:], at, end)
        if bytes(body[:4]) == b"IEND":
            return
        at = end


def _encode(kind: bytes, data: bytes) -> bytes:
    """A chunk as it stands in a file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _international_text(key: str, text: str) -> bytes:
    """An uncompressed iTXt chunk: UTF-8 text under a Latin-1 key."""
    return _encode(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace"))


def read_international_text(chunk: Chunk) -> tuple[str, str] | None:
    """Key and text of an uncompressed iTXt chunk, `None` for any other."""
    if chunk.kind != b"iTXt":
        return None
    key, _, rest = bytes(chunk.data).partition(b"\0")
    if rest[:1] != b"\0":
        return None
    text = rest[2:].split(b"\0", 2)
    return (key.decode("latin-1"), text[2].decode("utf-8", "replace")) if len(text) == 3 else None


def png_size(png: bytes) -> Size:
    """Width and height that the header of a whole PNG says."""
    return Size(*struct.unpack_from(">II", png, len(SIGNATURE) + 8))


def with_texts(png: bytes, texts: Mapping[str, str]) -> bytes:
    """The same file with these texts right behind the header, in place of former ones; no pixel byte changes."""
    header, *others = walk(png)
    kept = [png[chunk.start : chunk.end] for chunk in others if _text_key(chunk) not in texts]
    inserted = [_international_text(key, text) for key, text in texts.items()]
    return b"".join([png[: header.end], *inserted, *kept])


def _text_key(chunk: Chunk) -> str | None:
    """The key of a text chunk of any of the three kinds."""
    if chunk.kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return None
    return bytes(chunk.data).partition(b"\0")[0].decode("latin-1")
