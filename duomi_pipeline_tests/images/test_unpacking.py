"""Large PNGs, whose pixels are unpacked ahead of Pillow: the same pixels, and the same words where they are broken."""

import io
import os
import zlib

import pytest
from PIL import Image

from duomi_pipeline.images import NotAPictureError, to_png
from duomi_pipeline.images.decoding import decode
from duomi_pipeline.images.png_chunks import SIGNATURE, encode, walk
from duomi_pipeline.images.unpacking import unpacked
from duomi_pipeline.settings import Size

SIDE = Size(1080, 1920)


def noise(mode: str) -> bytes:
    """A picture that cannot be packed, so that it is large."""
    bytes_of_pixel = {"L": 1, "P": 1, "LA": 2, "I;16": 2, "RGB": 3, "RGBA": 4}[mode]
    picture = Image.frombytes(mode, SIDE, os.urandom(SIDE.width * SIDE.height * bytes_of_pixel))
    if mode == "P":
        picture.putpalette(bytes(range(256)) * 3)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1, **({"transparency": 7} if mode == "P" else {}))
    return file.getvalue()


def with_pixels(png: bytes, packed: bytes) -> bytes:
    header, *_ = walk(png)
    return SIGNATURE + png[header.start : header.end] + encode(b"IDAT", packed) + encode(b"IEND", b"")


def packed_pixels(png: bytes) -> bytes:
    return b"".join(chunk.data for chunk in walk(png) if chunk.kind == b"IDAT")


@pytest.mark.parametrize("mode", ["L", "P", "LA", "I;16", "RGB", "RGBA"])
def test_the_pixels_are_those_that_pillow_reads_by_itself(mode: str) -> None:
    png = noise(mode)

    assert unpacked(png) != png
    assert [chunk.kind for chunk in walk(unpacked(png))].count(b"IDAT") == 1
    with Image.open(io.BytesIO(png)) as wanted:
        found = decode(png)
        assert (found.picture.mode, found.picture.tobytes()) == (wanted.mode, wanted.tobytes())
        assert found.picture.info == wanted.info


def test_the_file_that_is_kept_is_the_one_that_came() -> None:
    png = noise("RGB")

    assert to_png(png, SIDE).data == png


@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_a_stream_of_pixels_that_ends_early_is_no_picture(kept: float) -> None:
    packed = packed_pixels(noise("RGB"))
    cut = with_pixels(noise("RGB"), packed[: int(len(packed) * kept)])

    with pytest.raises(NotAPictureError):
        to_png(cut, SIDE)


def test_a_broken_stream_of_pixels_is_no_picture() -> None:
    raw = bytearray(packed_pixels(noise("RGB")))
    raw[2:40] = b"\xff" * 38
    broken = with_pixels(noise("RGB"), bytes(raw))

    assert unpacked(broken) == broken
    with pytest.raises(NotAPictureError):
        to_png(broken, SIDE)


def test_pixels_for_more_rows_than_the_header_says_are_left_out() -> None:
    png = noise("RGB")
    more = with_pixels(png, zlib.compress(zlib.decompress(packed_pixels(png)) + bytes(1_000_000), 1))

    assert decode(more).picture.tobytes() == decode(png).picture.tobytes()
