"""Scripted answers to submissions, and the client's key repeated in errors."""

import json
from typing import Any

import pytest

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.plays import Play
from duomi_pipeline_tests.sandbox.client import Client

KEY = "sk-a/b+c"
FORMS = [("plain", "sk-a/b+c"), ("escaped", r"sk-a\/b+c"), ("unicode", r"\u0073k-a/b+c"), ("percent", "sk-a%2Fb%2Bc")]


def play(client: Client, **fields: Any) -> None:
    """One scripted answer and no other fault."""
    client.set(plays=[fields])


def test_a_play_is_sent_as_it_is_written(client: Client) -> None:
    play(
        client, status=522, body="<h1>gone</h1>", media_type="text/html", headers={"Retry-After": "1e9", "X-Relay": "a"}
    )
    answer = client.siliconflow()
    assert (answer.status_code, answer.text) == (522, "<h1>gone</h1>")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert (answer.headers["Retry-After"], answer.headers["X-Relay"]) == ("1e9", "a")


def test_a_play_of_a_sale_that_was_not_made_bills_nothing(client: Client) -> None:
    play(client, status=200, body='{"code": 1234}')
    assert client.siliconflow().json() == {"code": 1234}
    assert (client.billed, client.last_answered) == (0, "200/played")


def test_a_billed_play_takes_the_place_of_the_answer_to_a_sale(client: Client) -> None:
    play(client, status=504, body="gateway", billed=True)
    answer = client.siliconflow()
    assert (answer.status_code, answer.text) == (504, "gateway")
    assert (client.billed, client.last_answered) == (1, "504/played")
    assert client.server.books.posts()[0].token == client.server.books.billings()[0].token


def test_a_billed_play_does_not_hide_that_nothing_could_be_sold(client: Client) -> None:
    client.set(plays=[{"status": 504, "billed": True}], credits=0)
    assert client.siliconflow().status_code == 402


def test_a_billed_play_takes_the_place_of_the_faults_of_its_answer(client: Client) -> None:
    client.set(plays=[{"status": 504, "billed": True}], rate_hang=1, hang_seconds=1000)
    assert client.siliconflow().status_code == 504


def test_a_play_with_a_word_answers_only_prompts_that_contain_it(client: Client) -> None:
    play(client, word="blood")
    assert client.siliconflow("A Blood red sky").status_code == 400
    assert client.siliconflow("a sky").status_code == 200


def test_a_play_of_models_answers_only_these(client: Client) -> None:
    play(client, models=["gpt-image-2"], status=404)
    assert client.gpt_image().status_code == 404
    assert client.siliconflow().status_code == 200


def test_a_play_of_some_times_answers_each_body_so_often(client: Client) -> None:
    play(client, times=2, status=500)
    assert [client.siliconflow().status_code for _ in range(3)] == [500, 500, 200]
    assert client.siliconflow("a dog").status_code == 500


def test_a_play_with_a_rate_answers_some_and_the_same_ones_again(client: Client) -> None:
    play(client, rate=0.5, status=500)

    def statuses() -> list[int]:
        client.post("/sandbox/reset", {})
        return [client.siliconflow(f"cat {number}").status_code for number in range(20)]

    first = statuses()
    assert set(first) == {200, 500}
    assert statuses() == first


def test_the_first_play_that_matches_is_given(client: Client) -> None:
    client.set(plays=[{"word": "dog", "status": 403}, {"status": 422}, {"status": 451}])
    assert client.siliconflow("a dog").status_code == 403
    assert client.siliconflow("a cat").status_code == 422


def test_a_play_answers_bodies_that_are_no_order_too(client: Client) -> None:
    play(client, status=413)
    assert client.siliconflow("").status_code == 413


def test_a_wrong_key_gets_no_play(client: Client) -> None:
    client.set(plays=[{"status": 503}], api_key="right")
    assert client.siliconflow().status_code == 401


def test_plays_can_be_set_from_the_program(client: Client) -> None:
    client.server.faults = Faults(plays=(Play(status=503, body="{}"),))
    client.server.change_faults(price=2)
    assert client.siliconflow().status_code == 503
    with pytest.raises(ValueError, match="status"):
        Play(status=103)


@pytest.mark.parametrize(("form", "written"), FORMS)
def test_a_wrong_key_is_repeated_in_the_401_of_a_submission(client: Client, form: str, written: str) -> None:
    client.set(repeat_key=form, api_key="right")
    client.session.headers["Authorization"] = KEY
    assert client.siliconflow().text == f'"{written} Invalid token"'
    assert client.openai().json()["error"]["message"] == json.loads(f'"{written} Invalid token"')


def test_a_wrong_key_is_repeated_in_the_401_of_a_poll(client: Client) -> None:
    client.set(repeat_key="escaped", api_key="right")
    answer = client.get("/v1/tasks/__probe__", headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 401
    assert r'"msg":"sk-a\/b+c Invalid token"' in answer.text


@pytest.mark.parametrize(("form", "written"), FORMS)
def test_the_key_is_repeated_in_the_message_of_a_play(client: Client, form: str, written: str) -> None:
    client.set(repeat_key=form, plays=[{"body": '{"error": {"code": "x", "message": "is no key"}}'}])
    client.session.headers["Authorization"] = KEY
    assert client.siliconflow().text == f'{{"error": {{"code": "x", "message": "{written} is no key"}}}}'


def test_the_key_is_repeated_at_the_end_of_a_play_without_a_message(client: Client) -> None:
    client.set(repeat_key="percent", plays=[{"body": "<p>no</p>", "media_type": "text/html"}])
    client.session.headers["Authorization"] = KEY
    assert client.siliconflow().text == "<p>no</p>sk-a%2Fb%2Bc "


def test_without_repeat_key_no_error_holds_the_key(client: Client) -> None:
    client.set(plays=[{"body": '{"message": "no"}'}])
    client.session.headers["Authorization"] = KEY
    assert client.siliconflow().text == '{"message": "no"}'
