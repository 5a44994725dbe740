"""Bytes of any kind become a whole PNG of the delivery size, or a named error."""

import io
import struct
import zlib

import pytest
from PIL import Image

from duomi_pipeline.images import NotAPictureError, check_whole, to_png
from duomi_pipeline.settings import Size
from duomi_pipeline_tests.images import SIZE, chunk, encoded, gradient, opened, pixels, with_chunk

DELIVERY = Size(*SIZE)
WHOLE = encoded(gradient())
RED, BLUE = (255, 0, 0), (0, 0, 255)


def header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return start + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def damaged(png: bytes) -> bytes:
    at = png.index(b"IDAT") + 20
    return png[:at] + bytes([png[at] ^ 0xFF]) + png[at + 1 :]


# --- what is kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_a_png_of_the_delivery_size_keeps_every_byte(mode: str) -> None:
    data = with_chunk(encoded(gradient(mode=mode)), chunk(b"caBX", b"a manifest"))
    png = to_png(data, DELIVERY)
    assert png.data == data
    assert (png.size, png.received_size) == (DELIVERY, DELIVERY)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "GIF"])
def test_other_formats_are_converted(kind: str) -> None:
    png = to_png(encoded(gradient(), kind), DELIVERY)
    picture = opened(png.data)
    assert (picture.format, picture.size, picture.mode) == ("PNG", SIZE, "RGB")
    assert png.received_size == DELIVERY
    check_whole(png.data)


@pytest.mark.parametrize("mode", ["1", "LA", "P", "I;16"])
@pytest.mark.parametrize("size", [SIZE, (48, 80)])
def test_unusual_pixels_are_taken(mode: str, size: tuple[int, int]) -> None:
    picture = gradient(size, "I;16" if mode == "I;16" else "L").convert(mode)
    assert opened(to_png(encoded(picture), DELIVERY).data).size == SIZE


# --- what is fitted ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(48, 80), (192, 320), (960, 160), (96, 960), (95, 160), (1, 160)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_of_another_size_is_brought_to_the_delivery_size(kind: str, size: tuple[int, int]) -> None:
    png = to_png(encoded(gradient(size), kind), DELIVERY)
    assert opened(png.data).size == SIZE
    assert (png.size, png.received_size) == (DELIVERY, Size(*size))


def test_a_picture_of_another_shape_is_cut_from_its_centre_not_stretched() -> None:
    wide = gradient((288, 160))
    wide.paste(RED, (0, 0, 96, 160))
    wide.paste(BLUE, (192, 0, 288, 160))
    middle = wide.crop((96, 0, 192, 160))
    assert opened(to_png(encoded(wide), DELIVERY).data).tobytes() == middle.tobytes()


def test_a_circle_stays_a_circle() -> None:
    picture = Image.new("L", (400, 400))
    picture.paste(255, (180, 180, 220, 220))
    box = opened(to_png(encoded(picture), Size(100, 200)).data).point(lambda value: 255 * (value > 127)).getbbox()
    assert box is not None
    assert abs((box[2] - box[0]) - (box[3] - box[1])) <= 2


def test_a_picture_that_lies_on_its_side_is_turned_upright() -> None:
    lying = gradient((160, 96))
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees clockwise to see it"
    lying.save(file := io.BytesIO(), "PNG", exif=exif)
    upright = lying.transpose(Image.Transpose.ROTATE_270)
    assert opened(to_png(file.getvalue(), DELIVERY).data).tobytes() == upright.tobytes()


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><title>502</title>", "not a picture: it begins with b'<!DOCTYPE html><'"),
        (b'{"code": 404}', "not a picture"),
        (b"\0" * 1000, "not a picture"),
        (WHOLE[:-1], "cut off"),
        (WHOLE[: len(WHOLE) // 2], "cut off"),
        (WHOLE[:8], "cut off"),
        (WHOLE[:20], "cut off"),
        (damaged(WHOLE), "damaged in chunk b'IDAT'"),
        (encoded(gradient(), "JPEG")[:-200], "damaged"),
        (encoded(gradient(), "WEBP")[:-100], "damaged|not a picture"),
        (encoded(Image.new("RGB", SIZE, RED)), "flat"),
        (encoded(Image.new("RGB", SIZE), "JPEG"), "flat"),
        (encoded(Image.new("L", (1, 1))), "flat"),
        (header(*SIZE), "damaged"),
        (header(0, 0), "damaged|not a picture"),
        (header(9_000, 9_000), "too large: 9000x9000"),
        (header(10_000, 10_000), "too large: 10000x10000"),
        (header(30_000, 30_000), "900000000|30000x30000"),
    ],
    ids=[
        "empty", "html", "json", "zeros", "last byte", "half", "signature only", "in the header", "checksum",
        "half a jpeg", "half a webp", "flat", "black jpeg", "one pixel", "too few pixels", "no size", "81 MP", "100 MP", "900 MP",
    ],
)  # fmt: skip
def test_what_is_no_whole_picture_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(NotAPictureError, match=reason):
        to_png(data, DELIVERY)


def test_a_picture_with_one_pixel_of_another_colour_is_not_flat() -> None:
    picture = Image.new("RGB", SIZE, RED)
    picture.putpixel((3, 3), (255, 0, 1))
    assert pixels(to_png(encoded(picture), DELIVERY).data)


@pytest.mark.parametrize("data", [WHOLE[:-1], damaged(WHOLE), WHOLE[8:], b"", encoded(gradient(), "JPEG")])
def test_a_stored_file_that_is_not_whole_is_found_without_decoding(data: bytes) -> None:
    check_whole(WHOLE)
    with pytest.raises(NotAPictureError):
        check_whole(data)
