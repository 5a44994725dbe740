"""PNG files of which only the pixels are sound: taken with these pixels to the byte; half a picture never is."""

import struct
import zlib

import pytest
from PIL import Image

from duomi_pipeline.images import NotAPictureError
from duomi_pipeline.images.metadata import read_texts, with_info
from duomi_pipeline.images.png import check_whole, stored_look, thumbnail_of, to_png
from duomi_pipeline.images.png_chunks import png_size
from duomi_pipeline.settings import Size
from duomi_pipeline_tests.images.harness import SIZE, chunk, chunks, encoded, gradient, opened, pixels, with_chunk
from duomi_pipeline_tests.images.test_metadata import info

DELIVERY, OTHER = Size(*SIZE), Size(48, 80)
PNG = encoded(gradient())
PALETTE = encoded(gradient(mode="P"))
END = chunk(b"IEND", b"")
TEXT = chunk(b"tEXt", b"Comment\0hello")


def unsound(kind: bytes, data: bytes) -> bytes:
    """A chunk whose checksum does not fit."""
    whole = chunk(kind, data)
    return whole[:-1] + bytes([whole[-1] ^ 0xFF])


def in_parts(png: bytes, size: int, between: bytes = b"") -> bytes:
    """The same picture with its pixels in parts of so many bytes, and something between the first two."""
    raw = b"".join(pixels(png))
    parts = [chunk(b"IDAT", raw[at : at + size]) for at in range(0, len(raw), size)]
    return png[:33] + parts[0] + between + b"".join(parts[1:]) + END


def assert_taken(data: bytes, original: bytes = PNG) -> bytes:
    """It is taken with the pixels of the original, is whole, and stays so; also brought to another size."""
    png = to_png(data, DELIVERY)
    marked = with_info(png.data, info())
    for file in (png.data, marked):
        check_whole(file)
        assert b"".join(pixels(file)) == b"".join(pixels(original))
        assert opened(file).tobytes() == opened(original).tobytes()
        assert (png_size(file), stored_look(file)) == (DELIVERY, png.look)
        assert thumbnail_of(file) == png.thumbnail
    smaller = to_png(data, OTHER)
    check_whole(smaller.data)
    assert opened(smaller.data).tobytes() == opened(to_png(original, OTHER).data).tobytes()
    return png.data


# --- what goes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"caBX", b"iCCP", b"tRNS", b"gAMA", b"vpAg"])
@pytest.mark.parametrize("at", ["before the pixels", "behind them"])
def test_a_chunk_beside_the_pixels_with_a_wrong_checksum_is_dropped(kind: bytes, at: str) -> None:
    bad = unsound(kind, b"Comment\0\0hello, which may be damaged")
    data = with_chunk(PNG, bad + TEXT) if at == "before the pixels" else PNG[:-12] + bad + TEXT + END
    taken = assert_taken(data)
    assert taken == data.replace(bad, b"")
    assert read_texts(taken) == [("Comment", "hello")]


@pytest.mark.parametrize(
    "bad",
    [
        chunk(b"gAMA", b""), chunk(b"cHRM", bytes(31)), chunk(b"sRGB", b""), chunk(b"pHYs", bytes(8)), chunk(b"tRNS", b"\0"),
        chunk(b"iCCP", b""), chunk(b"iCCP", b"name"), chunk(b"iCCP", b"name\0\1xx"), chunk(b"zTXt", b"k\0\1xx"), chunk(b"zTXt", b"k\1"),
        chunk(b"\0\0\0\0", b""), chunk(b"1234", b""), chunk(b"ABCD", b"unknown, and critical"), chunk(b"acTL", b""), chunk(b"fcTL", bytes(26)),
        PNG[8:33], chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0)),
    ],
)  # fmt: skip
def test_a_chunk_on_which_readers_give_up_does_not_cost_the_picture(bad: bytes) -> None:
    assert_taken(with_chunk(PNG, bad + TEXT))


@pytest.mark.parametrize(
    "bomb",
    [
        chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000), 1)),
        chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(50_000_000), 1)),
        chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(50_000_000), 1)),
        chunk(b"tEXt", b"k\0" + bytes(17_000_000)),
    ],
    ids=["text", "international text", "profile", "long text"],
)
def test_a_text_that_is_too_much_goes_and_the_others_stay(bomb: bytes) -> None:
    assert assert_taken(with_chunk(PNG, bomb + TEXT)) == with_chunk(PNG, TEXT)


def test_of_many_texts_that_unpack_to_much_there_are_as_many_as_there_is_room_for() -> None:
    many = b"".join(chunk(b"zTXt", b"k%d\0\0" % number + zlib.compress(bytes(900_000))) for number in range(100))
    taken = assert_taken(with_chunk(PNG, TEXT + many))
    assert {"Comment", "k0", "k9"} <= opened(taken).info.keys()
    assert sum(len(text) for _, text in read_texts(taken)) <= 16_000_000


def test_texts_that_pillow_would_take_for_its_own_knowledge_do_no_harm() -> None:
    fakes = b"".join(chunk(b"tEXt", key + b"\0x") for key in (b"icc_profile", b"transparency", b"exif", b"gamma"))
    assert to_png(with_chunk(PALETTE, fakes), OTHER).size == OTHER


def test_of_an_animation_its_picture_is_taken() -> None:
    control = struct.pack(">IIIIIHHBB", 0, *SIZE, 0, 0, 1, 10, 0, 0)
    frame = chunk(b"fcTL", struct.pack(">I", 1) + control[4:]) + chunk(b"fdAT", struct.pack(">I", 2) + b"second")
    animated = with_chunk(PNG, chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", control))[:-12] + frame + END
    assert assert_taken(animated) == PNG


@pytest.mark.parametrize("size", [1, 7])
def test_pixels_in_tiny_parts_are_taken_as_they_are(size: int) -> None:
    data = in_parts(PNG, size)
    assert assert_taken(data) == data


def test_a_text_between_the_pixels_is_moved_behind_them() -> None:
    assert assert_taken(in_parts(PNG, 100, TEXT)) == in_parts(PNG, 100)[:-12] + TEXT + END


def test_a_note_behind_the_pixels_that_the_picture_lies_on_its_side_is_heeded() -> None:
    lying = encoded(gradient((160, 96)))
    note = chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")
    upright = gradient((160, 96)).transpose(Image.Transpose.ROTATE_270)
    assert opened(to_png(lying[:-12] + note + END, DELIVERY).data).tobytes() == upright.tobytes()


def test_very_many_chunks_are_refused() -> None:
    with pytest.raises(NotAPictureError, match="too many parts: more than 100,000 PNG chunks"):
        to_png(with_chunk(PNG, TEXT * 100_000), DELIVERY)


# --- the ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", range(12))
def test_a_picture_that_lacks_only_its_end_is_taken(left: int) -> None:
    assert assert_taken(PNG[:-12] + END[:left]) == PNG


def test_a_picture_that_is_cut_off_in_a_text_behind_its_pixels_is_taken() -> None:
    assert assert_taken(PNG[:-12] + TEXT[:-5]) == PNG


@pytest.mark.parametrize("end", [unsound(b"IEND", b""), chunk(b"IEND", b"more")])
def test_an_end_that_is_none_is_replaced(end: bytes) -> None:
    assert assert_taken(PNG[:-12] + end) == PNG


@pytest.mark.parametrize("trail", [b"\0", b"\r\n", b"<script>alert(1)</script>", PNG])
def test_what_stands_behind_the_end_goes(trail: bytes) -> None:
    assert assert_taken(PNG + trail) == PNG


@pytest.mark.parametrize(
    "head",
    [b"\n", b"\r\n\r\n", b"\xef\xbb\xbf", b"Content-Type: image/png\r\nContent-Length: 5\r\n\r\n", "图\n".encode()],
)
def test_text_before_a_picture_goes(head: bytes) -> None:
    assert assert_taken(head + PNG) == PNG
    jpeg = encoded(gradient(), "JPEG")
    assert to_png(head + jpeg, DELIVERY).data == to_png(jpeg, DELIVERY).data


@pytest.mark.parametrize("head", [b"\0\0\1\0\1\0", b"PK\x03\x04\x14\0", b"\x89PNG", b"x" * 1_000])
def test_a_picture_inside_another_file_is_not_the_picture(head: bytes) -> None:
    with pytest.raises(NotAPictureError):
        to_png(head + PNG, DELIVERY)


# --- what stays an error -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        PNG[:8] + unsound(b"IHDR", PNG[16:29]) + PNG[33:],
        PALETTE.replace(b"PLTE", b"pLTE"),
        PALETTE.replace(b"PLTE", b"PMTE"),
        b"".join([PALETTE[:8], *(chunk(*c) if c[0] != b"PLTE" else b"" for c in chunks(PALETTE))]),
        b"".join([PALETTE[:8], *(chunk(*c) if c[0] != b"PLTE" else unsound(*c) for c in chunks(PALETTE))]),
        PNG.replace(b"IDAT", b"iDAT", 1),
        PNG.replace(b"IDAT", b"ID\0T", 1),
        PNG[:33] + b"".join(unsound(b"IDAT", data) for data in pixels(PNG)) + END,
        PNG[:33] + END,
    ],
    ids=[
        "header", "palette by another name", "palette by a critical name", "no palette", "palette",
        "pixels by another name", "pixels by no name", "pixels", "no pixels",
    ],
)  # fmt: skip
@pytest.mark.parametrize("delivery", [DELIVERY, OTHER])
def test_damage_to_what_makes_the_picture_is_an_error(data: bytes, delivery: Size) -> None:
    with pytest.raises(NotAPictureError, match=r"damaged|cut off"):
        to_png(data, delivery)


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_picture_that_is_cut_off_anywhere_in_its_pixels_is_an_error(interlaced: bool) -> None:
    data = in_parts(interlaced_png() if interlaced else PNG, 64)
    assert to_png(data, DELIVERY).data == data
    last = data.rindex(b"IDAT") - 4
    lost = len(data) - 12 - last  # the last part may hold no more than the checksum of all the pixels
    for cut in [*range(33, last - 76, 41), len(data) - 13 - lost - 76]:
        with pytest.raises(NotAPictureError, match=r"damaged|cut off"):
            to_png(data[:cut], DELIVERY)
        with pytest.raises(NotAPictureError, match=r"damaged|cut off"):
            to_png(data[:cut] + END, DELIVERY)


def test_a_store_is_still_checked_strictly() -> None:
    for file in (with_chunk(PNG, unsound(b"tEXt", b"a\0b")), PNG[:-12]):
        assert to_png(file, DELIVERY)
        with pytest.raises(NotAPictureError, match=r"damaged|cut off"):
            check_whole(file)


def interlaced_png() -> bytes:
    """The picture in the seven passes of Adam7, which Pillow does not write."""
    picture, raw = gradient(), b""
    for left, top, across, down in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):  # fmt: skip
        for row in range(top, SIZE[1], down):
            raw += b"\0" + b"".join(bytes(picture.getpixel((x, row))) for x in range(left, SIZE[0], across))  # type: ignore[arg-type]
    header = struct.pack(">IIBBBBB", *SIZE, 8, 2, 0, 0, 1)
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + END
