"""Which formats are taken, and what is said of the others."""

import io
import os
import subprocess
import sys

import pytest
from PIL import Image, ImageChops, ImageStat, features

from duomi_pipeline.images import NotAPictureError
from duomi_pipeline.images.metadata import read_texts
from duomi_pipeline.images.png import check_whole, to_png
from duomi_pipeline.images.xmp import XMP_KEY
from duomi_pipeline.settings import Size
from duomi_pipeline_tests.images.harness import SIZE, encoded, gradient, opened

DELIVERY, OTHER = Size(*SIZE), Size(48, 80)
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow cannot write AVIF")
# Prints the error of an AVIF where Pillow's module for it is not there.
WITHOUT_AVIF = """
import sys
sys.modules["PIL._avif"] = None
from duomi_pipeline.images import NotAPictureError
from duomi_pipeline.images.png import to_png
from duomi_pipeline.settings import Size
try:
    to_png(sys.stdin.buffer.read(), Size(96, 160))
except NotAPictureError as error:
    print(error)
"""


def animated(kind: str) -> bytes:
    """Two frames: the gradient, then it upside down."""
    upside_down = gradient().transpose(Image.Transpose.ROTATE_180)
    gradient().save(file := io.BytesIO(), kind, save_all=True, append_images=[upside_down], duration=100)
    return file.getvalue()


def box(brand: bytes) -> bytes:
    """The beginning of a file of ISO 14496-12."""
    return b"\0\0\0\x1cftyp" + brand + b"\0\0\0\0mif1miaf" + bytes(200)


@needs_avif
@pytest.mark.parametrize("delivery", [DELIVERY, OTHER])
def test_an_avif_is_taken_with_its_colours_and_its_label(delivery: Size) -> None:
    gradient().save(file := io.BytesIO(), "AVIF", quality=90, xmp=b"<x/>")
    png = to_png(file.getvalue(), delivery)
    check_whole(png.data)
    difference = ImageChops.difference(opened(png.data), gradient().resize(delivery))
    assert max(ImageStat.Stat(difference).mean) < 4
    assert (png.size, png.received_size) == (delivery, DELIVERY)
    assert dict(read_texts(png.data)) == {XMP_KEY: "<x/>"}


@pytest.mark.parametrize("kind", ["MPO", "GIF", "WEBP", "PNG", pytest.param("AVIF", marks=needs_avif)])
def test_of_several_pictures_in_a_file_the_first_is_taken(kind: str) -> None:
    found = opened(to_png(animated(kind), DELIVERY).data).convert("RGB")
    assert max(ImageStat.Stat(ImageChops.difference(found, gradient())).mean) < 6


@needs_avif
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["AVIF", "JPEG", "MPO", "WEBP", "BMP", "GIF"])
def test_half_a_picture_is_none(kind: str, share: float) -> None:
    whole = encoded(gradient(), kind)
    with pytest.raises(NotAPictureError, match=r"damaged|not a picture"):
        to_png(whole[: int(len(whole) * share)], DELIVERY)


@needs_avif
def test_a_pillow_that_cannot_read_avif_is_named_not_the_picture() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_AVIF],
        input=encoded(gradient(), "AVIF"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )
    assert run.stdout.decode() == "AVIF: this Pillow cannot read it\n"
    assert run.stderr == b""


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (box(b"heic"), "HEIC"),
        (b"\xff\x0a" + bytes(50), "JPEG XL"),
        (b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a", "JPEG XL"),
        (encoded(gradient(), "TIFF"), "TIFF"),
        (encoded(gradient(), "JPEG2000"), "JPEG 2000"),
        (encoded(gradient((32, 32)), "ICO"), "ICO"),
    ],
    ids=str,
)
def test_a_format_that_is_not_read_is_called_by_its_name(data: bytes, name: str) -> None:
    with pytest.raises(NotAPictureError, match=f"^{name}: a format that is not read here$"):
        to_png(data, DELIVERY)
