"""Pictures in any mode have the tones of the original: stored, brought to another size, as a thumbnail and a look."""

import io
import struct
import zlib

import pytest
from PIL import Image, ImageChops, ImageStat

from duomi_pipeline.images.png import stored_look, thumbnail_of, to_png
from duomi_pipeline.images.tones import in_plain_colours
from duomi_pipeline.settings import Size
from duomi_pipeline_tests.images.harness import SIZE, chunk, encoded, gradient, opened

DELIVERY, OTHER = Size(*SIZE), Size(48, 80)
GREY = Image.linear_gradient("L").resize(SIZE)
COLOURS = gradient()
WHITE = 65_535
GREYS = ["1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F", "PA"]
MODES = [*GREYS, "P", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV"]


def in_mode(mode: str) -> Image.Image:
    """The grey or the coloured gradient in some mode of Pillow's."""
    if mode.startswith("I"):
        wide = GREY.convert("I").point(lambda value: value * 257)
        return wide if mode == "I" else wide.convert(mode)
    if mode == "PA":
        return GREY.convert("LA").convert(mode)
    if mode == "RGBa":
        return COLOURS.convert("RGBA").convert(mode)
    return (GREY if mode in GREYS else COLOURS).convert(mode)


def of_16_bits(colour_type: int, size: tuple[int, int] = SIZE, extra: bytes = b"") -> bytes:
    """A PNG of 16 bits per colour, all bands of which rise from black to white; opaque."""
    bands, alpha = {0: (1, 0), 2: (3, 0), 4: (1, 1), 6: (3, 1)}[colour_type]
    raw = b""
    for row in range(size[1]):
        tone = WHITE * row // (size[1] - 1)
        raw += b"\0" + (struct.pack(">H", tone) * bands + b"\xff\xff" * alpha) * size[0]
    header = struct.pack(">IIBBBBB", *size, 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def assert_same_tones(found: Image.Image, wanted: Image.Image, apart: float = 3.0) -> None:
    """On the average of small areas: dithering and resampling change single pixels."""
    one, other = (picture.convert("RGB").resize((12, 20), Image.Resampling.BOX) for picture in (found, wanted))
    difference = ImageStat.Stat(ImageChops.difference(one, other))
    assert max(difference.mean) < apart


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_plain_colours_of_the_same_tones(mode: str) -> None:
    plain = in_plain_colours(in_mode(mode))
    assert plain.mode in ("L", "RGB", "RGBA")
    assert_same_tones(plain, GREY if mode in GREYS else COLOURS, apart=9 if mode in ("1", "P") else 3)


@pytest.mark.parametrize("colour_type", [0, 2, 4, 6])
def test_16_bits_of_the_delivery_size_keep_their_bytes_and_show_their_tones(colour_type: int) -> None:
    data = of_16_bits(colour_type)
    png, wanted = to_png(data, DELIVERY), to_png(encoded(GREY), DELIVERY)
    assert png.data == data
    assert png.look is not None
    assert wanted.look is not None
    assert png.look.contrast == pytest.approx(wanted.look.contrast, abs=0.01)
    assert png.look == stored_look(data)
    assert png.thumbnail == thumbnail_of(data)
    assert_same_tones(opened(png.thumbnail or b""), opened(wanted.thumbnail or b""))


@pytest.mark.parametrize("colour_type", [0, 2, 4, 6])
def test_16_bits_of_another_size_keep_their_tones(colour_type: int) -> None:
    png = to_png(of_16_bits(colour_type), OTHER)
    assert_same_tones(opened(png.data), GREY)
    assert_same_tones(opened(png.thumbnail or b""), GREY)


@pytest.mark.parametrize("delivery", [DELIVERY, OTHER])
def test_16_bits_that_differ_only_in_their_lower_half_are_still_a_picture(delivery: Size) -> None:
    picture = Image.new("I;16", SIZE, 40_000)
    picture.paste(40_200, (10, 10, 60, 90))
    assert to_png(encoded(picture), delivery).size == delivery


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_colour_of_a_palette_stays_transparent(kind: str) -> None:
    picture = gradient(mode="P")
    picture.paste(0, (0, 0, 48, 160))
    picture.save(file := io.BytesIO(), kind, transparency=0)
    found = opened(to_png(file.getvalue(), OTHER).data)
    assert (found.mode, found.getpixel((5, 40))) == ("RGBA", (0, 0, 0, 0))
    assert isinstance(alpha := found.getchannel("A").getpixel((40, 60)), int)
    assert alpha > 200


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_a_transparent_colour_without_a_palette_stays_transparent(mode: str) -> None:
    picture = gradient(mode=mode)
    picture.paste(0, (0, 0, 48, 160))
    picture.save(file := io.BytesIO(), "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    found = opened(to_png(file.getvalue(), OTHER).data)
    assert found.mode == "RGBA"
    assert found.getchannel("A").getpixel((5, 40)) == 0


@pytest.mark.parametrize("colour_type", [0, 2])
def test_a_transparent_colour_of_16_bits_costs_no_picture(colour_type: int) -> None:
    key = chunk(b"tRNS", b"\xff\xfe" * (3 if colour_type else 1))
    assert_same_tones(opened(to_png(of_16_bits(colour_type, extra=key), OTHER).data), GREY)


def test_a_picture_half_transparent_stays_so() -> None:
    picture = GREY.convert("LA")
    picture.putalpha(100)
    assert opened(to_png(encoded(picture), OTHER).data).getchannel("A").getextrema() == (100, 100)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_in_the_colours_of_presses_is_not_inverted(progressive: bool) -> None:
    COLOURS.convert("CMYK").save(file := io.BytesIO(), "JPEG", progressive=progressive, quality=95)
    assert b"Adobe" in file.getvalue()
    assert_same_tones(opened(to_png(file.getvalue(), DELIVERY).data), COLOURS)
