"""Tasks that end without a picture, never end, or may not be looked at."""

import pytest

from duomi_pipeline_tests.sandbox.client import Client
from duomi_pipeline_tests.sandbox.conftest import Clock


def test_a_task_can_be_done_without_a_picture_for_ever_and_was_billed(client: Client) -> None:
    client.set(task_empty=["nude"], task_reason="IMAGE_SAFETY", done_word="succeeded")
    path = client.submitted("A Nude")
    for _ in range(5):
        task = client.get(path).json()
        assert (task["state"], task["data"]["images"]) == ("succeeded", [])
        assert task["data"]["description"] == "IMAGE_SAFETY"
    assert client.billed == 1
    assert len(client.get(client.submitted("a cat")).json()["data"]["images"]) == 1


def test_nano_banana_says_why_there_is_no_picture_in_its_message_too(client: Client) -> None:
    client.set(task_empty=["nude"], task_reason="IMAGE_SAFETY")
    token = client.nano_banana("a nude").json()["data"]["task_id"]
    task = client.get(f"/api/gemini/nano-banana/{token}").json()["data"]
    assert (task["msg"], task["data"]) == ("IMAGE_SAFETY", {"images": [], "description": "IMAGE_SAFETY"})


def test_a_task_that_fails_can_say_why(client: Client) -> None:
    client.set(task_fails=["nude"], task_reason="IMAGE_SAFETY", failed_word="failed")
    task = client.get(client.submitted("a nude")).json()
    assert (task["state"], task["data"]["description"]) == ("failed", "IMAGE_SAFETY")


def test_a_task_can_never_end_and_was_billed(client: Client, clock: Clock) -> None:
    client.set(task_endless=["maze"], done_word="succeeded")
    endless, other = client.submitted("a Maze"), client.submitted("a cat")
    clock.now += 1_000_000
    task = client.get(endless).json()
    assert (task["state"] == "succeeded", task["data"]["images"]) == (False, [])
    assert client.get(other).json()["state"] == "succeeded"
    assert client.billed == 2


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_polls_of_some_tasks_can_be_denied_for_ever(client: Client, status: int) -> None:
    client.set(deny_polls=["secret"], deny_status=status, deny_body='{"message": "quota"}')
    path = client.submitted("a Secret")
    answers = [client.get(path) for _ in range(3)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(status, {"message": "quota"})] * 3
    assert client.get(client.submitted("a cat")).status_code == 200


def test_polls_that_are_denied_are_counted_and_denied_with_403_if_not_said_otherwise(client: Client) -> None:
    client.set(deny_polls=["secret"])
    assert client.get(client.submitted("secret")).status_code == 403
    assert client.server.books.totals().polls == 1


def test_a_wrong_key_is_told_before_a_poll_is_denied(client: Client) -> None:
    path = client.submitted("secret")
    client.set(deny_polls=["secret"], deny_status=404, api_key="right")
    assert client.get(path).status_code == 401
