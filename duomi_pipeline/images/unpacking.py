"""The pixels of a large picture unpacked ahead of its decoder: ISA-L needs a third of the time of Pillow's zlib.

Pillow and kornia-rs get them in a stream of stored blocks (RFC 1951, section 3.2.4), which they only copy. The file to
keep stays as it is. Whatever is unusual or broken is left to Pillow, and to its words.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

from isal import isal_zlib

from duomi_pipeline.images.png_chunks import SIGNATURE, Chunk, scan

_WORTH_IT = 1_000_000  # bytes of unpacked pixels; of fewer Pillow is as fast
_MOST = 64_000_000  # bytes of unpacked pixels, which are in memory twice
_SMALL = 300_000  # bytes of pixels that a decoder unpacks once more in less time than it takes to copy the rows
_BANDS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_BLOCK = 65_535  # bytes of a stored block at most


def unpacked(png: bytes) -> bytes | None:
    """The same picture for a decoder, the checksum of its pixels compared; `None`: nobody has compared it.

    Args:
        png: a whole PNG, the checksums of its chunks right.
    """
    chunks = list(scan(png))
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0].data)
    length = height * (1 + (width * depth * _BANDS.get(colours, 0) + 7) // 8)  # each row begins with its filter
    if interlaced or colours not in _BANDS or not _WORTH_IT <= length <= _MOST:
        return None
    packed = b"".join(chunk.data for chunk in chunks if chunk.kind == b"IDAT")
    try:
        rows = isal_zlib.decompressobj().decompress(packed, length)
    except isal_zlib.error:  # type: ignore[misc]  # its stub calls the class an instance
        return None
    if len(rows) < length:
        return None
    return png if len(packed) < _SMALL else _with_stored(png, chunks, rows)


def _with_stored(png: bytes, chunks: Sequence[Chunk], rows: bytes) -> bytes:
    view = memoryview(png)
    *before, end = [view[chunk.start : chunk.end] for chunk in chunks if chunk.kind != b"IDAT"]
    blocks = [b"\x78\x01", *_stored(memoryview(rows)), struct.pack(">I", isal_zlib.adler32(rows))]
    head = struct.pack(">I", sum(map(len, blocks))) + b"IDAT"
    return b"".join([SIGNATURE, *before, head, *blocks, _sum_of([b"IDAT", *blocks]), end])


def _sum_of(parts: Iterable[bytes | memoryview]) -> bytes:
    return struct.pack(">I", reduce(lambda checksum, part: isal_zlib.crc32(part, checksum), parts, 0))


def _stored(data: memoryview) -> Iterator[bytes | memoryview]:
    for at in range(0, len(data), _BLOCK):
        block = data[at : at + _BLOCK]
        yield struct.pack("<BHH", at + _BLOCK >= len(data), len(block), len(block) ^ 0xFFFF)
        yield block
