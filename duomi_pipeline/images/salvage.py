"""PNG files from outside to whole ones that every reader opens. No byte of a pixel changes, none is made up.

What goes is what a picture can do without, and what strict readers, Pillow among them, stumble over:

- Chunks beside the pixels whose checksum does not fit. libpng and the browsers drop them as well, so the picture
  looks as it does there; a corrected checksum would vouch for a text, a profile or a manifest that may be damaged.
- Chunks beside the pixels that are too short, unknown though they call themselves critical, or doubled headers.
- Texts and profiles that unpack to more than a picture may say, and the frames of an animation: one is delivered.
- What stands behind the end. A missing end is added where the picture was cut off behind its pixels.

A checksum of header, palette or pixels that does not fit, and a cut through them, stay errors. Whether the pixels are
all there is not known here: that is in `decoding`.
"""

import zlib
from typing import NamedTuple

from duomi_pipeline.images.errors import NotAPictureError
from duomi_pipeline.images.png_chunks import (
    MAX_TEXTS,
    MAX_UNPACKED,
    SIGNATURE,
    BrokenPngError,
    Chunk,
    encode,
    scan,
)

MAX_CHUNKS = 100_000  # of a file; one of 64 MB with the smallest parts that encoders write has 8,000
_MAX_EXIF = 1_000_000  # bytes; a JPEG has 65,533 at most
_PIXELS = (b"PLTE", b"IDAT")
_BESIDE = (b"tRNS", b"iCCP")  # what else a decoder has to know
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_LEAST = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}  # bytes
_LEAST_TRANSPARENCY = {0: 2, 2: 6, 3: 1}  # bytes, by colour type
_PALETTE = 3  # a colour type
_END = encode(b"IEND", b"")


class Salvaged(NamedTuple):
    """A whole PNG.

    Attributes:
        data: the file to keep; the very same bytes object where nothing had to go.
        bare: the same picture without its texts, for a decoder: it need not read what it cannot use.
    """

    data: bytes
    bare: bytes


def salvage(png: bytes) -> Salvaged:
    """A PNG from outside as a whole one.

    Raises:
        BrokenPngError: its header, palette or pixels are damaged or cut off.
        NotAPictureError: it has too many chunks.
    """
    sorter = _Sorter(png)
    at, ended = len(SIGNATURE), False
    for number, chunk in enumerate(scan(png)):
        if number == MAX_CHUNKS:
            raise NotAPictureError(f"the picture has too many parts: more than {MAX_CHUNKS:,} PNG chunks")
        ended = chunk.kind == b"IEND"
        if not ended or not chunk.is_sound:
            sorter.take(chunk)
        at = chunk.end
    if not sorter.pixels or (not ended and png[at + 4 : at + 8] in _PIXELS):
        raise BrokenPngError(f"cut off after {len(png)} bytes")
    if png[len(SIGNATURE) + 17] == _PALETTE and not sorter.has_palette:
        raise BrokenPngError("damaged: no palette")
    return sorter.sorted()


class _Sorter:
    """What is kept of a file, in its order, but nothing between the parts of the pixels."""

    def __init__(self, png: bytes) -> None:
        self._png, self._view = png, memoryview(png)
        self._before: list[memoryview] = []
        self._after: list[memoryview] = []
        self._bare: list[memoryview] = []
        self.pixels: list[memoryview] = []
        self.has_palette = False
        self._is_moved = False
        self._room = MAX_TEXTS

    def take(self, chunk: Chunk) -> None:
        is_critical = not chunk.kind[0] & 0x20  # PNG specification, section 5.4
        if not chunk.is_sound and chunk.kind != b"IEND" and (is_critical or not chunk.kind.isalpha()):
            raise BrokenPngError(f"damaged in chunk {chunk.kind!r}")
        part = self._view[chunk.start : chunk.end]
        if chunk.kind == b"IDAT":
            self._is_moved |= bool(self._after)
            self.pixels.append(part)
        elif self._is_kept(chunk, is_critical):
            (self._after if self.pixels else self._before).append(part)
            if self._is_for_decoder(chunk):
                self._bare.append(part)
            self.has_palette |= chunk.kind == b"PLTE" and not self.pixels

    def sorted(self) -> Salvaged:
        kept = [self._view[: len(SIGNATURE)], *self._before, *self.pixels, *self._after]
        is_whole = sum(map(len, kept)) + len(_END) == len(self._png) and self._png.endswith(_END)
        data = self._png if is_whole and not self._is_moved else b"".join([*kept, _END])
        if len(self._bare) == len(self._before) and not self._after:
            return Salvaged(data, data)
        return Salvaged(data, b"".join([SIGNATURE, *self._bare, *self.pixels, _END]))

    def _is_for_decoder(self, chunk: Chunk) -> bool:
        if chunk.kind == b"eXIf":  # which may also stand behind the pixels
            return len(chunk.data) <= _MAX_EXIF
        return not self.pixels and chunk.kind in (b"IHDR", b"PLTE", *_BESIDE)

    def _is_kept(self, chunk: Chunk, is_critical: bool) -> bool:
        kind, length = chunk.kind, len(chunk.data)
        if not chunk.is_sound or not kind.isalpha() or kind in _ANIMATION:
            return False
        if is_critical:
            return kind == b"PLTE" or (kind == b"IHDR" and not self._before)
        if kind == b"tRNS":
            return length >= _LEAST_TRANSPARENCY.get(self._png[len(SIGNATURE) + 17], 0)
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            return self._has_room(chunk)
        return length >= _LEAST.get(kind, 0)

    def _has_room(self, chunk: Chunk) -> bool:
        """Whether a text or profile is short enough. What was unpacked is spent also where it is not: it took time."""
        if chunk.kind == b"tEXt" or (chunk.kind == b"iTXt" and not _is_packed(chunk)):
            length = len(chunk.data)
            fits = length <= self._room
            self._room -= length if fits else 0
            return fits
        if self._room <= 0:
            return False
        length = _unpacked_length(chunk)
        fits = length <= min(MAX_UNPACKED, self._room)
        self._room -= length
        return fits


def _is_packed(text: Chunk) -> bool:
    """Whether an international text is compressed."""
    return bytes(text.data).partition(b"\0")[2][:1] not in (b"", b"\0")


def _unpacked_length(chunk: Chunk) -> int:
    """Bytes that a compressed text or profile unpacks to; too many of one packed in a way that the standard lacks.

    At most one more than a text may have; 0 of broken zlib data: readers leave them out.
    """
    _key, _, rest = bytes(chunk.data).partition(b"\0")
    if chunk.kind == b"iTXt":
        packed = rest.split(b"\0", 3)[-1]
    elif rest[:1] == b"\0" or (chunk.kind == b"zTXt" and not rest):
        packed = rest[1:]
    else:
        return MAX_UNPACKED + 1
    try:
        return len(zlib.decompressobj().decompress(packed, MAX_UNPACKED + 1))
    except zlib.error:
        return 0
