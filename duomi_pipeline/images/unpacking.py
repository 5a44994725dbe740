"""The pixels of a large picture unpacked ahead of Pillow: ISA-L needs at most a third of the time of Pillow's zlib.

Pillow gets them in a stream of stored blocks (RFC 1951, section 3.2.4), which it only copies. The file to keep stays as
it is. Whatever is unusual or broken is left to Pillow, and to its words.
"""

import struct
from collections.abc import Iterable, Iterator
from functools import reduce

from isal import isal_zlib

from duomi_pipeline.images.png_chunks import SIGNATURE, scan

_WORTH_IT = 1_000_000  # bytes of unpacked pixels; of fewer Pillow is as fast
_MOST = 64_000_000  # bytes of unpacked pixels, which are in memory twice
_BANDS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_BLOCK = 65_535  # bytes of a stored block at most


def unpacked(png: bytes) -> bytes:
    """The same picture with stored pixels, for a decoder; the very same bytes where that would gain nothing.

    Args:
        png: a whole PNG, its checksums right.
    """
    chunks = list(scan(png))
    pixels = [chunk for chunk in chunks if chunk.kind == b"IDAT"]
    beside = [chunk for chunk in chunks if chunk.kind != b"IDAT"]
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", beside[0].data)
    length = height * (1 + (width * depth * _BANDS.get(colours, 0) + 7) // 8)  # each row begins with its filter
    if interlaced or colours not in _BANDS or not _WORTH_IT <= length <= _MOST:
        return png
    try:
        data = memoryview(isal_zlib.decompressobj().decompress(b"".join(chunk.data for chunk in pixels), length))
    except isal_zlib.error:  # type: ignore[misc]  # its stub calls the class an instance
        return png
    if len(data) < length:
        return png
    view, end = memoryview(png), beside.pop()
    before = [view[chunk.start : chunk.end] for chunk in beside]
    blocks = [b"\x78\x01", *_stored(data), struct.pack(">I", isal_zlib.adler32(data))]
    head = struct.pack(">I", sum(map(len, blocks))) + b"IDAT"
    return b"".join([SIGNATURE, *before, head, *blocks, _sum_of([b"IDAT", *blocks]), view[end.start : end.end]])


def _sum_of(parts: Iterable[bytes | memoryview]) -> bytes:
    return struct.pack(">I", reduce(lambda checksum, part: isal_zlib.crc32(part, checksum), parts, 0))


def _stored(data: memoryview) -> Iterator[bytes | memoryview]:
    for at in range(0, len(data), _BLOCK):
        block = data[at : at + _BLOCK]
        yield struct.pack("<BHH", at + _BLOCK >= len(data), len(block), len(block) ^ 0xFFFF)
        yield block
