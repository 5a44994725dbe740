"""Hosts of pictures that are busy or say no."""

import pytest

from duomi_pipeline_tests.sandbox.client import Client, opened
from duomi_pipeline_tests.sandbox.conftest import Clock


def test_a_download_can_be_busy_and_another_try_may_be_fine(client: Client) -> None:
    client.set(rate_download_busy=0.5)
    url = client.bought()
    assert {client.get(url).status_code for _ in range(20)} == {200, 503}


def test_all_downloads_can_be_busy_for_a_time_after_the_url_was_told(client: Client, clock: Clock) -> None:
    client.set(download_busy_seconds=60)
    path = client.submitted()
    clock.now += 100
    url = client.get(path).json()["data"]["images"][0]["url"]
    assert client.get(url).status_code == 503
    clock.now += 59
    assert client.get(url).status_code == 503
    clock.now += 1
    assert opened(client.get(url)).format == "PNG"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_the_host_of_some_pictures_can_say_no_for_ever(client: Client, status: int) -> None:
    client.set(deny_downloads=["secret"], deny_download_status=status)
    url = client.siliconflow("a Secret").json()["images"][0]["url"]
    assert [client.get(url).status_code for _ in range(3)] == [status] * 3
    assert client.get(client.bought()).status_code == 200
    assert client.billed == 2


def test_the_host_says_403_if_not_said_otherwise(client: Client) -> None:
    client.set(deny_downloads=["secret"])
    assert client.get(client.siliconflow("secret").json()["images"][0]["url"]).status_code == 403
