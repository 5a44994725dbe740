"""What stands around the pictures of an answer: frames, codes of success, the alphabet of base64."""

import base64
import json

import pytest

from duomi_pipeline_tests.sandbox.client import Client

SUCCESS = {"code": 10000, "msg": "Success"}


@pytest.mark.parametrize(("framing", "before"), [("keep_alive", ": keep-alive\n\n"), ("blank", "\n")])
def test_signs_of_life_can_be_streamed_before_the_json(client: Client, framing: str, before: str) -> None:
    client.set(framing=framing)
    answer = client.siliconflow()
    signs, brace, rest = answer.text.partition("{")
    assert signs == 3 * before
    assert len(json.loads(brace + rest)["images"]) == 1
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Transfer-Encoding"] == "chunked"


def test_the_json_can_come_as_an_event(client: Client) -> None:
    client.set(framing="sse")
    answer = client.openai()
    event, done, nothing = answer.text.split("\n\n")
    assert len(json.loads(event.removeprefix("data: "))["data"]) == 1
    assert (done, nothing) == ("data: [DONE]", "")
    assert answer.headers["Content-Type"].startswith("text/event-stream")


def test_a_task_that_answers_at_once_is_framed_and_one_to_be_polled_is_not(client: Client) -> None:
    client.set(framing="sse", answer_at_once=True)
    assert client.gpt_image().text.startswith("data: {")
    client.set(framing="sse")
    assert set(client.gpt_image().json()) == {"id"}
    assert set(client.nano_banana().json()) == {"code", "msg", "data"}


@pytest.mark.parametrize("style", ["url", "both"])
def test_a_code_of_success_can_stand_beside_the_pictures(client: Client, style: str) -> None:
    client.set(success=SUCCESS, answer=style)
    for answer in (client.siliconflow().json(), client.openai().json()):
        assert (answer["code"], answer["msg"]) == (10000, "Success")
        assert answer.get("images") or answer["data"]


def test_a_code_of_success_can_stand_beside_a_task_that_is_done(client: Client) -> None:
    client.set(success=SUCCESS, task_seconds=10)
    path = client.submitted()
    assert "code" not in client.get(path).json()
    client.set(success=SUCCESS)
    assert client.get(path).json()["code"] == 10000
    token = client.nano_banana().json()["data"]["task_id"]
    task = client.get(f"/api/gemini/nano-banana/{token}").json()
    assert (task["code"], len(task["data"]["data"]["images"])) == (10000, 1)


def test_pictures_can_come_in_the_alphabet_of_urls_without_padding(client: Client) -> None:
    client.set(answer="b64_urlsafe")
    rests = set()
    for width in range(72, 84):
        answer = client.siliconflow(image_size=f"{width}x128").json()
        text = answer["data"][0]["b64_json"]
        assert not set(text) & set("+/=")
        assert set(text) & set("-_")
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        assert content.endswith(b"IEND\xaeB`\x82")
        rests.add(len(content) % 3)
    assert rests != {0}, "none of them would have been padded"
