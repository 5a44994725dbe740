"""Large PNGs, whose pixels are not decoded by Pillow: the same pixels, and the same words where they are broken."""

import io
import os
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from duomi_pipeline.images import NotAPictureError
from duomi_pipeline.images.decoding import decode
from duomi_pipeline.images.plain_pixels import plain_picture
from duomi_pipeline.images.png import to_png
from duomi_pipeline.images.png_chunks import SIGNATURE, encode, walk
from duomi_pipeline.images.unpacking import unpacked
from duomi_pipeline.settings import Size

SIDE = Size(1080, 1920)


BYTES_OF_PIXEL = {"L": 1, "P": 1, "LA": 2, "I;16": 2, "RGB": 3, "RGBA": 4}
PLAIN = {"L", "RGB", "RGBA"}  # decoded by kornia-rs


def noise(mode: str) -> bytes:
    """A picture that cannot be packed, so that its file is large."""
    return saved(mode, os.urandom(SIDE.width * SIDE.height * BYTES_OF_PIXEL[mode]))


def steps(mode: str) -> bytes:
    """A picture whose file is small."""
    length = SIDE.width * SIDE.height * BYTES_OF_PIXEL[mode]
    return saved(mode, bytes(range(0, 250, 10)) * (length // 25))


def saved(mode: str, pixels: bytes) -> bytes:
    picture = Image.frombytes(mode, SIDE, pixels)
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


@pytest.mark.parametrize("draw", [noise, steps])
@pytest.mark.parametrize("mode", BYTES_OF_PIXEL)
def test_the_pixels_are_those_that_pillow_reads_by_itself(mode: str, draw: Callable[[str], bytes]) -> None:
    png = draw(mode)

    compared = unpacked(png)
    assert compared is not None
    assert (compared == png) is (draw is steps)
    assert (plain_picture(compared) is not None) is (mode in PLAIN)
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

    assert unpacked(broken) is None
    with pytest.raises(NotAPictureError):
        to_png(broken, SIDE)


@pytest.mark.parametrize("draw", [noise, steps])
def test_pixels_whose_checksum_does_not_fit_are_no_picture(draw: Callable[[str], bytes]) -> None:
    png = draw("RGB")
    changed = with_pixels(png, packed_pixels(png)[:-4] + b"\0\0\0\0")

    with pytest.raises(NotAPictureError):
        to_png(changed, SIDE)


@pytest.mark.parametrize("filter_type", [5, 255])
def test_a_row_with_an_unknown_filter_is_no_picture(filter_type: int) -> None:
    png = steps("RGB")
    rows = bytearray(zlib.decompress(packed_pixels(png)))
    rows[1_000 * (1 + 3 * SIDE.width)] = filter_type

    with pytest.raises(NotAPictureError):
        to_png(with_pixels(png, zlib.compress(bytes(rows))), SIDE)


def test_pixels_for_more_rows_than_the_header_says_are_left_out() -> None:
    png = noise("RGB")
    more = with_pixels(png, zlib.compress(zlib.decompress(packed_pixels(png)) + bytes(1_000_000), 1))

    assert decode(more).picture.tobytes() == decode(png).picture.tobytes()
