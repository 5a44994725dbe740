"""Pictures and files that are out to do harm: refused or taken, soon and in little memory, and believed in nothing."""

import io
import json
import struct
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from duomi_pipeline.images import ImageStore, NotAPictureError
from duomi_pipeline.images.metadata import read_info, read_texts, with_info
from duomi_pipeline.images.png import to_png
from duomi_pipeline.images.png_chunks import with_texts
from duomi_pipeline.settings import Size
from duomi_pipeline_tests.images.harness import SIZE, chunk, encoded, gradient, opened, with_chunk
from duomi_pipeline_tests.images.test_metadata import info

PNG = encoded(gradient())
DELIVERY = Size(*SIZE)
SECONDS = 3.0  # of CPU that one hostile picture may take; usually milliseconds


def jpeg_that_claims(width: int, height: int) -> bytes:
    """A small JPEG whose header says that it is large."""
    data = bytearray(encoded(gradient(mode="L"), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_that_claims(width: int, height: int, screen: tuple[int, int]) -> bytes:
    """A GIF with one frame that is larger than what its head says."""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"


def webp_that_claims(width: int, height: int) -> bytes:
    """An animated WebP of one small frame on a large canvas."""
    file = io.BytesIO()
    gradient((16, 16)).save(file, "WEBP", lossless=True)
    frame = bytes(6) + b"\x0f\0\0" * 2 + b"\x64\0\0\0" + file.getvalue()[12:]
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    parts = ((b"VP8X", b"\x02\0\0\0" + canvas), (b"ANIM", bytes(6)), (b"ANMF", frame))
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in parts
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp_that_claims(width: int, height: int) -> bytes:
    """A BMP of two pixels."""
    return b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(6)  # fmt: skip


# --- size ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        jpeg_that_claims(65_500, 65_500), gif_that_claims(65_535, 65_535, (65_535, 65_535)), gif_that_claims(65_535, 65_535, (10, 10)),
        webp_that_claims(16_384, 16_384), bmp_that_claims(60_000, 60_000),
    ],
    ids=["jpeg", "gif", "frame of a gif", "webp", "bmp"],
)  # fmt: skip
def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded(data: bytes) -> None:
    start = time.process_time()
    with pytest.raises(NotAPictureError, match=r"too large|damaged|not a picture"):
        to_png(data, DELIVERY)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000), 1)),
        chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(50_000_000), 1)),
        chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(50_000_000), 1)),
        chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(900_000), 1)) * 100,
        chunk(b"tEXt", b"k\0v") * 50_000,
        chunk(b"tEXt", b"k\0" + b"v" * 3_000_000),
    ],
    ids=["text", "international text", "profile", "many texts", "many chunks", "long text"],
)
def test_texts_that_unpack_to_very_much_take_neither_time_nor_memory(extra: bytes) -> None:
    start, data = time.process_time(), with_chunk(PNG, extra)
    try:
        png = to_png(data, DELIVERY)
        assert opened(with_info(png.data, info())).size == SIZE
    except NotAPictureError as error:
        assert "damaged" in str(error)
    assert sum(len(text) for _, text in read_texts(data)) <= 64_000_000
    assert time.process_time() - start < SECONDS


# --- shape --------------------------------------------------------------------------------------------


def test_what_stands_behind_the_end_of_a_picture_is_not_kept() -> None:
    marked = with_info(to_png(PNG + b"<script>alert(1)</script>PK\x03\x04", DELIVERY).data, info())
    assert marked.endswith(b"IEND" + struct.pack(">I", zlib.crc32(b"IEND")))
    assert b"alert" not in marked


@pytest.mark.parametrize(
    "data",
    [
        with_chunk(PNG, PNG[8:33]),
        with_chunk(PNG, chunk(b"eXIf", b"MM\0*" + bytes(8) + b"\xff" * 200)),
        with_chunk(PNG, chunk(b"acTL", struct.pack(">II", 100_000, 0))),
        with_chunk(PNG, chunk(b"tRNS", b"")),
        with_chunk(PNG, chunk(b"gAMA", b"")),
        with_chunk(PNG, chunk(b"PLTE", b"\0")),
        with_chunk(PNG, chunk(b"\0\0\0\0", b"")),
        with_chunk(PNG, chunk(b"tEXt", b"")),
        with_chunk(PNG, chunk(b"iTXt", b"\xff\xfe\0")),
        PNG[:33] + chunk(b"IDAT", b"") + PNG[33:],
        PNG[:8] + PNG[33:],
        PNG[:33] + chunk(b"IEND", b""),
        PNG[:33] + struct.pack(">I", 0xFFFFFFFF) + PNG[37:],
    ],
)  # fmt: skip
@pytest.mark.parametrize("delivery", [DELIVERY, Size(48, 80)])
def test_a_picture_of_odd_chunks_is_taken_or_refused(data: bytes, delivery: Size) -> None:
    try:
        png = to_png(data, delivery)
    except NotAPictureError as error:
        assert str(error)
        return
    assert opened(with_info(png.data, info())).size == delivery


# --- what a file says of itself -----------------------------------------------------------------------


def test_what_a_picture_of_ours_says_is_believed() -> None:
    assert read_info(with_info(PNG, info())) == info()


@pytest.mark.parametrize(
    "lie",
    [
        {"prompt_id": "../../etc/passwd"}, {"prompt_id": ""}, {"prompt_id": "a\n"}, {"prompt_id": "x" * 101}, {"prompt": "\ud83d"},
        {"prompt_version": "v" * 300}, {"request_key": "k" * 300}, {"settings_fingerprint": 5}, {"host_kind": None}, {"model": "m" * 300},
        {"task_id": "t" * 1_001}, {"index": -1}, {"index": 10**30}, {"seed": 10**30}, {"seed": -1}, {"seed": 1.5},
        {"size": "big"}, {"size": "1x2x3"}, {"received_size": "0x-1"}, {"requested_size": ""}, {"price": -1}, {"price": "nan"}, {"price": 1e999},
        {"contrast": "inf"}, {"currency": "C" * 300}, {"created_at": "0001-01-01T00:00:00Z"}, {"created_at": "9999-12-31T23:59:59Z"},
        {"created_at": "2026-01-01T00:00:00"}, {"created_at": 1e18}, {"schema_version": 2},
        {"request": {}}, {"request": []}, {"request": {"host_kind": "service"}}, {"request": {"host_kind": "service", "body": []}},
        {"request": {"host_kind": "service", "body": {"model": "m"}}}, {"request": {"body": {"model": "m", "prompt": "p"}}},
        {"request": {"host_kind": "service", "body": {"model": "m", "prompt": ["p"]}}},
        {"request": {"host_kind": "service", "body": {"model": "m", "prompt": "p", "seed": "many"}}},
        {"request": {"host_kind": "service", "body": {"model": "m", "prompt": "\ud83d"}}},
        {"request": {"host_kind": "service", "body": {"model": "m", "prompt": "p", "guidance_scale": float("nan")}}},
    ],
    ids=str,
)  # fmt: skip
def test_a_picture_that_says_what_cannot_be_is_none_of_ours(lie: dict[str, Any]) -> None:
    said = {**json.loads(info().model_dump_json()), **lie}
    assert read_info(with_texts(PNG, {"duomi_generation": json.dumps(said)})) is None


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), [("Cat", "cat"), ("é", "e\u0301"), ("straße", "STRASSE")])
def test_names_that_are_one_on_some_file_system_are_not_both_given(tmp_path: Path, one: str, other: str) -> None:
    store, now = ImageStore(UPath(tmp_path)), datetime(2026, 3, 4, tzinfo=UTC)
    (first,), (second,) = store.names(one, now, 1), store.names(other, now, 1)
    assert first[-7:] != second[-7:]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_picture_with_a_broken_note_about_its_orientation_is_taken() -> None:
    file = io.BytesIO()
    gradient().save(file, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    assert to_png(file.getvalue(), DELIVERY).size == DELIVERY
