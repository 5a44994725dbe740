"""Each fault of downloads, as the client sees it."""

import pytest
import requests
from PIL import UnidentifiedImageError

from duomi_pipeline.sandbox.pictures import Drawing, render
from duomi_pipeline_tests.sandbox.client import Client, opened


def test_half_a_picture_can_come_as_if_it_were_whole(client: Client) -> None:
    whole = len(client.get(client.bought()).content)
    client.set(rate_truncated_image=1)
    answer = client.get(client.bought())
    assert len(answer.content) == whole // 2
    with pytest.raises((OSError, SyntaxError)):
        opened(answer)


def test_a_download_can_end_in_the_middle(client: Client) -> None:
    client.set(rate_truncated_download=1)
    url = client.bought()
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="more expected"):
        client.get(url)


def test_html_can_come_instead_of_a_picture(client: Client) -> None:
    client.set(rate_html_image=1)
    answer = client.get(client.bought())
    assert answer.status_code == 200
    with pytest.raises(UnidentifiedImageError):
        opened(answer)


def test_a_picture_can_be_blank(client: Client) -> None:
    client.set(rate_blank_image=1)
    image = opened(client.get(client.bought()))
    assert image.size == (72, 128)
    assert len(image.getcolors() or []) == 1


def test_jpeg_can_come_as_png(client: Client) -> None:
    client.set(rate_jpeg_as_png=1)
    answer = client.get(client.bought())
    assert answer.headers["Content-Type"] == "image/png"
    assert opened(answer).format == "JPEG"


def test_a_picture_can_have_another_size_than_was_asked(client: Client) -> None:
    client.set(rate_wrong_size=1)
    assert opened(client.get(client.bought())).size == (1024, 1024)
    client.set(image_size="40x30")
    assert opened(client.get(client.bought())).size == (40, 30)


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_all_pictures_can_come_in_another_format(client: Client, image_format: str) -> None:
    client.set(image_format=image_format)
    answer = client.get(client.bought())
    assert answer.headers["Content-Type"] == f"image/{image_format}"
    assert opened(answer).format == image_format.upper()


def test_a_second_download_of_a_spoilt_picture_may_be_fine(client: Client) -> None:
    client.set(rate_html_image=0.5, fault_seed=1)
    url = client.bought()
    types = [client.get(url).headers["Content-Type"] for _ in range(12)]
    assert {kind.partition(";")[0] for kind in types} == {"image/png", "text/html"}


@pytest.mark.parametrize(("kind", "low", "high"), [("flat", 10_000, 20_000), ("photo", 2_300_000, 3_000_000)])
def test_the_pictures_for_benchmarks_have_their_sizes(kind: str, low: int, high: int) -> None:
    content = render(Drawing("flat" if kind == "flat" else "photo", (1080, 1920), "png"))
    assert low < len(content) < high


def test_a_card_can_be_a_jpeg() -> None:
    card = render(Drawing("card", (72, 128), "jpeg", "a cat", 1, "m"))
    assert card[:3] == b"\xff\xd8\xff"
