"""Each hostile download and answer, as seen by a client that does not defend itself."""

import io
import zlib

import pytest
import requests
from PIL import Image

from duomi_pipeline.sandbox.hostile import bomb
from duomi_pipeline_tests.sandbox.client import Client


def test_an_endless_download_goes_on(client: Client) -> None:
    client.set(hostile_download="endless")
    answer = client.get(client.bought(), stream=True)
    assert "Content-Length" not in answer.headers
    assert len(answer.raw.read(5_000_000)) == 5_000_000
    answer.close()
    assert client.siliconflow().status_code == 200


def test_a_redirect_can_lead_in_circles(client: Client) -> None:
    client.set(hostile_download="redirect_loop")
    url = client.bought()
    with pytest.raises(requests.TooManyRedirects):
        client.get(url)


def test_a_redirect_can_lead_to_a_file(client: Client) -> None:
    client.set(hostile_download="redirect_to_file")
    answer = client.get(client.bought(), allow_redirects=False)
    assert answer.headers["Location"].startswith("file:///")


def test_a_bomb_is_small_and_pillow_refuses_it() -> None:
    content = bomb()
    assert len(content) < 1_000_000
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(content))
    assert len(zlib.decompressobj().decompress(content[41:], 100_000)) == 100_000


def test_a_bomb_is_sent_as_a_picture(client: Client) -> None:
    client.set(hostile_download="bomb")
    assert client.get(client.bought()).headers["Content-Type"] == "image/png"


def test_urls_and_file_names_can_point_anywhere(client: Client) -> None:
    client.set(told_url="file:///etc/hostname", told_file_name="../../x.png")
    assert client.siliconflow().json()["images"] == [{"url": "file:///etc/hostname"}]
    image = client.get(client.submitted()).json()["data"]["images"][0]
    assert image == {"url": "file:///etc/hostname", "file_name": "../../x.png"}
