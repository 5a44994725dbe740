"""Pictures to give to the code under test, and PNGs read independently of it."""

import io
import struct
import zlib
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

SIZE = (96, 160)


def gradient(size: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    """A picture that is not flat in any band."""
    across = Image.linear_gradient("L").resize(size)
    down = across.transpose(Image.Transpose.ROTATE_180)
    return Image.merge("RGB", (across, down, across)).convert(mode)


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    """A file as a picture, decoded."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and data of every chunk of a whole PNG, read independently of the code under test."""
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def pixels(png: bytes) -> list[bytes]:
    """The data of the IDAT chunks, one by one."""
    return [data for kind, data in chunks(png) if kind == b"IDAT"]


def with_chunk(png: bytes, new: bytes) -> bytes:
    """The same file with a chunk right behind the header."""
    return png[:33] + new + png[33:]


def rate(file: Path) -> None:
    """What a picture viewer does that keeps a rating: a text more, everything else as it was."""
    with Image.open(file) as picture:
        texts = PngInfo()
        for name, text in picture.text.items():  # type: ignore[attr-defined]
            texts.add_itxt(name, str(text))
        texts.add_text("Rating", "5")
        picture.save(file, pnginfo=texts)
