"""What one picture may take: refused before it takes more, or taken within it."""

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageOps

from duomi_pipeline.images import NotAPictureError
from duomi_pipeline.images.fitting import fit
from duomi_pipeline.images.png import to_png
from duomi_pipeline.settings import Size
from duomi_pipeline_tests.images.harness import SIZE, chunk, encoded, gradient, opened, with_chunk
from duomi_pipeline_tests.images.test_hostile import jpeg_that_claims, webp_that_claims

DELIVERY, LARGEST = Size(*SIZE), Size(8192, 8192)
PNG, JPEG, GIF = encoded(gradient()), encoded(gradient(), "JPEG"), encoded(gradient(mode="P"), "GIF")
GIF_HEAD = 13 + 3 * 2 ** ((GIF[10] & 7) + 1)  # bytes, with its colours
# One picture in a process of its own: seconds of CPU, and megabytes at its highest.
MEASURE = """
import json, sys, time
from duomi_pipeline.images import NotAPictureError
from duomi_pipeline.images.png import to_png
from duomi_pipeline.settings import Size
data, start = sys.stdin.buffer.read(), time.process_time()
try:
    result = str(to_png(data, Size.parse(sys.argv[1])).size)
except NotAPictureError as error:
    result = str(error)
highest = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(json.dumps([result, time.process_time() - start, int(highest) / 1000]))
"""


def measured(data: bytes, delivery: Size) -> tuple[str, float, float]:
    """Size or error, seconds of CPU, and megabytes."""
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell how much memory a process took")
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(delivery)],
        input=data,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )
    result, seconds, megabytes = json.loads(run.stdout)
    return result, seconds, megabytes


def plain_png(size: tuple[int, int], depth: int = 8, colour_type: int = 2, extra: bytes = b"") -> bytes:
    """A large PNG of stripes, small as a file."""
    row = b"\0" + bytes(range(256)) * (size[0] * {2: 3, 6: 4}[colour_type] * depth // 8 // 256)
    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(row * size[1], 1)
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan, of a few bytes, comes very often."""
    gradient((2048, 2048)).save(file := io.BytesIO(), "JPEG", progressive=True)
    data = file.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * count + b"\xff\xd9"


# --- many parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        JPEG[:2] + b"\xff\xfe\0\2" * 2_000_000 + JPEG[2:],
        JPEG[:20] + b"\xff" * 2_000_000 + JPEG[20:],
        GIF[:GIF_HEAD] + b"\x21\xfe\1c\0" * 2_000_000 + GIF[GIF_HEAD:],
        with_chunk(PNG, chunk(b"tEXt", b"") * 1_000_000),
    ],
    ids=["segments of a jpeg", "fill bytes of a jpeg", "comments of a gif", "chunks of a png"],
)
def test_a_picture_of_a_million_parts_is_refused(data: bytes) -> None:
    with pytest.raises(NotAPictureError, match=r"too many parts: more than [\d,]+"):
        to_png(data, DELIVERY)


def test_a_bmp_of_runs_of_one_pixel_is_refused_when_it_takes_too_long() -> None:
    runs, colours = b"\1\3\1\4" * 1_000_000, bytes(range(256)) * 4
    head = struct.pack("<IiiHHIIiiII", 40, 2000, 1000, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = b"BM" + struct.pack("<IHHI", 54 + 1024 + len(runs), 0, 0, 54 + 1024)
    with pytest.raises(NotAPictureError, match="too many parts"):
        to_png(start + head + colours + runs, DELIVERY)


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    with pytest.raises(NotAPictureError, match="too many scans: 5,010 of 2048x2048"):
        to_png(with_scans(5_000), DELIVERY)


def test_a_jpeg_of_a_hundred_scans_is_taken() -> None:
    assert to_png(with_scans(90), DELIVERY).received_size == (2048, 2048)


# --- memory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [jpeg_that_claims(9_000, 9_000), webp_that_claims(6_300, 6_300)],
    ids=["jpeg", "webp"],
)
def test_what_is_too_large_for_its_format_is_refused_before_it_is_decoded(data: bytes) -> None:
    with pytest.raises(NotAPictureError, match=r"too large: \d+x\d+; of (JPEG|WEBP) at most [\d,]+ pixels"):
        to_png(data, DELIVERY)


def test_scans_that_have_to_be_kept_are_counted_as_memory() -> None:
    gradient((512, 512)).save(file := io.BytesIO(), "JPEG", progressive=True, subsampling=0)
    data = bytearray(file.getvalue())
    at = data.index(b"\xff\xc2")
    data[at + 5 : at + 9] = struct.pack(">HH", 8192, 8192)
    with pytest.raises(NotAPictureError, match="too large: 8192x8192 in 10 scans"):
        to_png(bytes(data), DELIVERY)


def test_a_size_that_is_too_large_to_be_changed_is_refused_with_both_sizes() -> None:
    data = plain_png((8192, 8192), colour_type=6, extra=chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(200))))
    with pytest.raises(NotAPictureError, match="too large to be resized from 8192x8192 to 8000x8192"):
        to_png(data, Size(8000, 8192))


@pytest.mark.parametrize(
    ("size", "depth", "colour_type", "delivery"),
    [
        ((8192, 8192), 16, 6, LARGEST),
        ((8192, 8192), 8, 6, Size(1080, 1920)),
        ((4096, 4096), 8, 6, LARGEST),
    ],
    ids=["as it is", "to a usual size", "to the largest size"],
)
def test_the_largest_pictures_stay_within_the_bounds(
    size: tuple[int, int], depth: int, colour_type: int, delivery: Size
) -> None:
    result, seconds, megabytes = measured(plain_png(size, depth, colour_type), delivery)
    assert result == str(delivery)
    assert seconds < 30
    assert megabytes < 800


@pytest.mark.parametrize("before", [(4400, 4000), (2500, 9000), (300, 500)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_what_is_done_in_strips_shows_no_seams(before: tuple[int, int], mode: str) -> None:
    picture, delivery = gradient(before, mode), Size(4000, 4300) if before == (300, 500) else Size(1080, 1920)
    at_once = ImageOps.fit(picture, delivery, Image.Resampling.LANCZOS)
    difference = ImageChops.difference(fit(picture, delivery).convert("RGB"), at_once.convert("RGB"))
    assert max(highest for _, highest in difference.getextrema()) <= 1  # type: ignore[misc]


def test_a_picture_that_was_done_in_strips_is_whole() -> None:
    png = to_png(encoded(gradient((4400, 4000))), DELIVERY)
    assert opened(png.data).size == DELIVERY
