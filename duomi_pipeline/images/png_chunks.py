"""PNG files as a sequence of chunks (PNG specification, section 5): walk them, check them, read and insert texts.

What the texts mean is in `metadata`, repair of received files in `salvage`, pixels in `png`.
"""

import struct
import zlib
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from isal import isal_zlib  # its checksum takes a tenth of the time

from duomi_pipeline.settings import Size

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_UNPACKED = 1_000_000  # bytes of one compressed text: foreign files may hold bombs; Pillow takes little more
MAX_TEXTS = 16_000_000  # characters of all texts of a file; ComfyUI's workflows, the longest known, have some 100,000


class BrokenPngError(ValueError):
    """The bytes are not a whole PNG file."""


class Chunk(NamedTuple):
    """One chunk, where it begins and ends in the file, and whether its checksum fits."""

    kind: bytes
    data: memoryview
    start: int
    end: int
    is_sound: bool


def scan(png: bytes) -> Iterator[Chunk]:
    """The complete chunks up to IEND or to where the file is cut off, with right and wrong checksums.

    Raises:
        BrokenPngError: no signature, or no header.
    """
    if not png.startswith(SIGNATURE):
        raise BrokenPngError("not a PNG file")
    view, at, kind = memoryview(png), len(SIGNATURE), b""
    while kind != b"IEND" and at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        end = at + 12 + length
        if end > len(png):
            return
        body = view[at + 4 : end - 4]
        kind = bytes(body[:4])
        if at == len(SIGNATURE) and (kind, length) != (b"IHDR", 13):
            raise BrokenPngError("damaged: no header")
        yield Chunk(kind, body[4:], at, end, isal_zlib.crc32(body) == struct.unpack_from(">I", png, end - 4)[0])
        at = end


def walk(png: bytes) -> Iterator[Chunk]:
    """All chunks up to IEND, each with its checksum checked.

    Raises:
        BrokenPngError: no signature, no header, cut off, or a checksum that does not fit.
    """
    for chunk in scan(png):
        if not chunk.is_sound:
            raise BrokenPngError(f"damaged in chunk {chunk.kind!r}")
        yield chunk
        if chunk.kind == b"IEND":
            return
    raise BrokenPngError(f"cut off after {len(png)} bytes")


def encode(kind: bytes, data: bytes) -> bytes:
    """A chunk as it stands in a file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", isal_zlib.crc32(kind + data))


def text_chunk(key: str, text: str, plain: bool) -> tuple[bytes, bytes]:
    """Kind and data of a tEXt chunk if wanted and the text is ASCII, else of an uncompressed iTXt chunk in UTF-8."""
    if plain and text.isascii():
        return b"tEXt", key.encode("latin-1") + b"\0" + text.encode("ascii")
    return b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace")


def read_text(chunk: Chunk) -> tuple[str, str] | None:
    """Key and text of a text chunk of any of the three kinds; `None` for any other chunk and for a broken one.

    A compressed text ends after a million bytes.
    """
    if chunk.kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return None
    key, _, rest = bytes(chunk.data).partition(b"\0")
    try:
        text = rest.decode("latin-1") if chunk.kind == b"tEXt" else _read_packed(chunk.kind, rest)
    except (zlib.error, ValueError):
        return None
    return key.decode("latin-1"), text


def _read_packed(kind: bytes, rest: bytes) -> str:
    """The text behind the key of a zTXt or iTXt chunk.

    Raises:
        ValueError, zlib.error: it is broken.
    """
    if kind == b"zTXt":
        return _unpacked(rest[1:]).decode("latin-1")
    _language, _translated, text = rest[2:].split(b"\0", 2)
    return (text if rest[:1] == b"\0" else _unpacked(text)).decode("utf-8", "replace")


def _unpacked(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, MAX_UNPACKED)


def png_size(png: bytes) -> Size:
    """Width and height in the header of a whole PNG."""
    return Size(*struct.unpack_from(">II", png, len(SIGNATURE) + 8))


def with_texts(png: bytes, texts: Mapping[str, str], plain: Container[str] = ()) -> bytes:
    """The same file with these texts right behind the header, in place of former ones; no pixel byte changes.

    Args:
        png: a whole PNG.
        texts: by key.
        plain: keys that become tEXt where their text is ASCII: some readers know no other kind.
    """
    view = memoryview(png)
    header, *others = walk(png)
    kept = [view[chunk.start : chunk.end] for chunk in others if text_key(chunk) not in texts]
    inserted = [encode(*text_chunk(key, text, key in plain)) for key, text in texts.items()]
    return b"".join([view[: header.end], *inserted, *kept])


def text_key(chunk: Chunk) -> str | None:
    """The key of a text chunk, a broken one too; `None` for any other."""
    if chunk.kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return None
    return bytes(chunk.data[:80]).partition(b"\0")[0].decode("latin-1")  # a key has 79 bytes at most
