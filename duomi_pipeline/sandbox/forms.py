"""Rarer forms of PNG that hold a picture all the same: 16 bit, palette, odd text before the pixels.

Takes a plain PNG and gives one in the form. What it shows is drawn in `pictures`.
"""

import base64
import functools
import io
import random
import zlib

from PIL import Image

from duomi_pipeline.sandbox.chunks import AFTER_HEADER, chunk
from duomi_pipeline.sandbox.faults import PictureForm

BIG_TEXT_BYTES = 8_000_000
COLOURS = 64


def in_form(png: bytes, form: PictureForm) -> bytes:
    """The picture as a PNG of that form."""
    if form == "plain":
        return png
    if form == "bad_text_checksum":
        text = b"Comment\0\0\0\0\0its checksum is wrong"
        return _inserted(png, chunk(b"iTXt", text, flaw=1))
    if form == "big_text":
        return _inserted(png, big_text())
    image = Image.open(io.BytesIO(png)).convert("RGB")
    changed = _grey16(image) if form == "grey16" else image.quantize(COLOURS)
    buffer = io.BytesIO()
    changed.save(buffer, "png")
    return buffer.getvalue()


def _inserted(png: bytes, chunks: bytes) -> bytes:
    return png[:AFTER_HEADER] + chunks + png[AFTER_HEADER:]


def _grey16(image: Image.Image) -> Image.Image:
    """The picture's grey in the upper byte of each tone, a gradient from left to right in the lower one.

    A reader that takes the lower byte for the tone shows nothing but the gradient.
    """
    width, height = image.size
    tones = bytearray(2 * width * height)
    tones[0::2] = bytes(256 * x // width for x in range(width)) * height
    tones[1::2] = image.convert("L").tobytes()
    return Image.frombytes("I;16", image.size, bytes(tones))


@functools.cache
def big_text() -> bytes:
    """Chunks of compressed text, of both kinds in turn, of 8 MB; each of them unpacks to about 2 MB."""
    # Random letters make up the size, and the letters after them what it unpacks to.
    letters = base64.b64encode(random.Random(0).randbytes(48_000))  # noqa: S311
    packed = zlib.compress(letters + b"a" * 2_000_000)
    kinds = ((b"zTXt", b"workflow\0\0"), (b"iTXt", b"workflow\0\1\0\0\0"))
    chunks = [chunk(kind, header + packed) for kind, header in kinds]
    pairs = BIG_TEXT_BYTES // sum(map(len, chunks)) + 1
    return b"".join(chunks) * pairs
