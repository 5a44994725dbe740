"""The pieces of a PNG file, written by hand: Pillow writes none that are wrong or monstrous."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The signature and the header, which must come first: 4 bytes of length, 4 of kind, 13 of content, 4 of checksum.
AFTER_HEADER = len(SIGNATURE) + 25


def chunk(kind: bytes, content: bytes, *, flaw: int = 0) -> bytes:
    """One chunk; its checksum is off if there is a flaw, which changes these bits."""
    checksum = zlib.crc32(kind + content) ^ flaw
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
