"""The rarer forms in which a picture may come."""

import struct
import zlib

import pytest
import requests

from duomi_pipeline.sandbox.chunks import SIGNATURE
from duomi_pipeline_tests.sandbox.client import Client, opened


def bought(client: Client, **faults: object) -> requests.Response:
    client.set(**faults)
    return client.get(client.bought())


def chunks(png: bytes) -> list[tuple[bytes, bytes, bool]]:
    """Kind and content of each chunk, and whether its checksum is right; wholly without Pillow."""
    assert png.startswith(SIGNATURE)
    found, place = [], len(SIGNATURE)
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        kind, content = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", png, place + 8 + length)
        found.append((kind, content, checksum == zlib.crc32(kind + content)))
        place += 12 + length
    return found


def test_a_picture_can_be_avif(client: Client) -> None:
    answer = bought(client, image_format="avif")
    assert answer.headers["Content-Type"] == "image/avif"
    image = opened(answer)
    assert (image.format, image.size) == ("AVIF", (72, 128))


def test_nobody_can_order_avif(client: Client) -> None:
    assert client.openai(output_format="avif").status_code == 400


@pytest.mark.parametrize("picture", ["flat", "card"])
def test_a_picture_can_be_16_bit_grey_of_another_size_than_asked(client: Client, picture: str) -> None:
    answer = bought(client, picture_form="grey16", image_size="90x160", picture=picture)
    header = chunks(answer.content)[0][1]
    assert struct.unpack(">IIBB", header[:10]) == (90, 160, 16, 0)
    image = opened(answer)
    assert image.mode == "I;16"
    low, high = image.getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    assert high - low > 20_000


def test_the_tones_of_a_16_bit_picture_are_those_of_the_plain_one(client: Client) -> None:
    plain = opened(bought(client)).convert("L").tobytes()
    grey = opened(bought(client, picture_form="grey16"))
    assert grey.tobytes()[1::2] == plain
    assert len(set(struct.unpack(f"<{72 * 128}H", grey.tobytes()))) > 256


def test_a_picture_can_have_a_palette(client: Client) -> None:
    plain, palette = opened(bought(client)), opened(bought(client, picture_form="palette"))
    assert palette.mode == "P"
    assert palette.convert("RGB").getpixel((4, 120)) == plain.getpixel((4, 120))


def test_a_text_chunk_can_have_a_wrong_checksum_and_all_others_have_the_right_one(client: Client) -> None:
    plain = bought(client).content
    answer = bought(client, picture_form="bad_text_checksum")
    found = chunks(answer.content)
    assert [(kind, right) for kind, _, right in found[:2]] == [(b"IHDR", True), (b"iTXt", False)]
    assert [chunk for chunk in found if chunk[2]] == chunks(plain)
    with pytest.raises((OSError, SyntaxError)):
        opened(answer)


def test_8_mb_of_compressed_text_can_come_before_the_pixels_and_unpack_to_far_more(client: Client) -> None:
    plain = bought(client).content
    answer = bought(client, picture_form="big_text")
    found = chunks(answer.content)
    assert all(right for _, _, right in found)
    texts = [(kind, content) for kind, content, _ in found if kind in (b"zTXt", b"iTXt")]
    assert {kind for kind, _ in texts} == {b"zTXt", b"iTXt"}
    assert [kind for kind, _, _ in found[1 : 1 + len(texts)]] == [kind for kind, _ in texts]
    assert 8_000_000 <= len(answer.content) - len(plain) < 8_500_000
    for kind, header in ((b"zTXt", len(b"workflow\0\0")), (b"iTXt", len(b"workflow\0\1\0\0\0"))):
        content = next(content for found_kind, content in texts if found_kind == kind)
        assert len(zlib.decompress(content[header:])) > 2_000_000
    assert [chunk for chunk in found if chunk[0] not in (b"zTXt", b"iTXt")] == chunks(plain)


def test_a_form_is_png_whatever_format_was_asked(client: Client) -> None:
    answer = bought(client, picture_form="palette", image_format="jpeg")
    assert (answer.headers["Content-Type"], opened(answer).format) == ("image/png", "PNG")


def test_a_form_does_not_hinder_jpeg_that_is_called_png(client: Client) -> None:
    assert opened(bought(client, picture_form="grey16", rate_jpeg_as_png=1)).format == "JPEG"
