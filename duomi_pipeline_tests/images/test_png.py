"""Bytes of any kind become a whole PNG of the delivery size, or a named error."""

import io
import random
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from duomi_pipeline.images import NotAPictureError
from duomi_pipeline.images.metadata import PictureInfo, read_texts, with_info
from duomi_pipeline.images.png import check_whole, to_png
from duomi_pipeline.images.xmp import XMP_KEY, read_disclosure
from duomi_pipeline.settings import Size
from duomi_pipeline_tests.images.harness import SIZE, chunk, encoded, gradient, opened, pixels, with_chunk

DELIVERY = Size(*SIZE)
WHOLE = encoded(gradient())
LABELLED = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/"><TC260:AIGC>'
    '{"Label":"1","ContentProducer":"their-own-code"}</TC260:AIGC></rdf:Description></rdf:RDF></x:xmpmeta>'
)
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


def test_of_any_size_made_any_other_nothing_is_stretched_and_the_middle_stays_in_the_middle() -> None:
    chance = random.Random(9)
    for _ in range(60):
        width, height, side = chance.randint(60, 500), chance.randint(60, 500), 30
        left, top = (width - side) // 2, (height - side) // 2
        picture = Image.new("L", (width, height))
        picture.paste(255, (left, top, left + side, top + side))
        delivery = Size(chance.randint(64, 400), chance.randint(64, 400))
        png = to_png(encoded(picture, chance.choice(["PNG", "WEBP"])), delivery)
        found = opened(png.data)
        box = found.convert("L").point(lambda value: 255 * (value > 127)).getbbox()
        assert (found.size, png.received_size) == (delivery, (width, height))
        assert box is not None
        scale = max(delivery.width / width, delivery.height / height)
        wanted = (scale * side,) * 2
        assert (box[2] - box[0], box[3] - box[1]) == pytest.approx(wanted, abs=2.5), (width, height, delivery)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        assert middle == pytest.approx((delivery.width / 2, delivery.height / 2), abs=2.5)


# --- what is encoded anew -----------------------------------------------------------------------------


def with_xmp(kind: str) -> bytes:
    """A picture of another size whose service labelled it as generated."""
    file = io.BytesIO()
    gradient((48, 80)).save(file, kind, xmp=LABELLED.encode())
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_label_of_the_service_survives_another_format(kind: str) -> None:
    assert dict(read_texts(to_png(with_xmp(kind), DELIVERY).data)) == {XMP_KEY: LABELLED}


def test_all_texts_survive_another_size(tmp_path: Path) -> None:
    texts = PngInfo()
    texts.add_text("Software", "Duomi Sandbox")
    texts.add_itxt(XMP_KEY, LABELLED)
    texts.add_text("AIGC", "标识", zip=True)
    gradient((48, 80)).save(file := io.BytesIO(), "PNG", pnginfo=texts)
    png = to_png(file.getvalue(), DELIVERY).data
    assert dict(read_texts(png)) == {"Software": "Duomi Sandbox", XMP_KEY: LABELLED, "AIGC": "标识"}
    assert b"tEXtSoftware\0Duomi Sandbox" in png, "as readers know it that know no other kind"
    check_whole(png)


def test_the_label_of_a_jpeg_is_what_the_stored_picture_discloses() -> None:
    made = PictureInfo(
        prompt_id="json_a", prompt_version="v", prompt="a boat", request_key="k", settings_fingerprint="f",
        request={"host_kind": "service", "body": {"model": "m", "prompt": "a boat"}}, host_kind="service", model="m",
        requested_size="96x160", received_size="48x80", size="96x160", created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    stored = with_info(to_png(with_xmp("JPEG"), DELIVERY).data, made)
    label = read_disclosure(dict(read_texts(stored))).label
    assert label is not None
    assert label["ContentProducer"] == "their-own-code"


@pytest.mark.parametrize("xmp", [b"\xff\xfe<\0x\0", b""])
def test_a_packet_that_cannot_be_read_is_left_out(xmp: bytes) -> None:
    gradient((48, 80)).save(file := io.BytesIO(), "JPEG", xmp=xmp)
    assert XMP_KEY not in dict(read_texts(to_png(file.getvalue(), DELIVERY).data))


def linear_profile() -> bytes:
    """A profile of colours in which half of the number is half of the light."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = data.index(b"para", 300)  # the curve that all three colours share: type 0, exponent 1
    data[at + 8 : at + 16] = struct.pack(">HHI", 0, 0, 0x10000)
    return bytes(data)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_of_another_profile_become_those_that_everybody_shows(mode: str) -> None:
    grey = Image.new(mode, (48, 80), (128, 128, 128, 70)[: len(mode)])
    grey.paste((0, 0, 0, 9)[: len(mode)], (0, 0, 4, 4))
    grey.save(file := io.BytesIO(), "PNG", icc_profile=linear_profile())
    found = opened(to_png(file.getvalue(), DELIVERY).data)
    wanted = (188, 188, 188, 70)[: len(mode)]
    assert found.getpixel((90, 150)) == pytest.approx(wanted, abs=2)
    assert "icc_profile" not in found.info


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_a_profile_that_is_none_costs_no_picture(mode: str) -> None:
    gradient((48, 80), mode).save(file := io.BytesIO(), "JPEG", icc_profile=b"no profile" * 20)
    found = opened(to_png(file.getvalue(), DELIVERY).data)
    assert (found.size, "icc_profile" in found.info) == (SIZE, False)


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><title>502</title>", "not a picture: it begins with b'<!DOCTYPE html><'"),
        (b'{"code": 404}', "not a picture"),
        (b"\0" * 1000, "not a picture"),
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
        "empty", "html", "json", "zeros", "half", "signature only", "in the header", "checksum",
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
