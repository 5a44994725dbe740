"""Each fault of submissions and polls, as the client sees it and as the books tell it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline_tests.sandbox.client import Client, opened
from duomi_pipeline_tests.sandbox.conftest import Clock


def test_a_reset_before_the_request_bills_nothing(client: Client) -> None:
    client.set(rate_reset_before=1)
    with pytest.raises(requests.ConnectionError, match="reset"):
        client.siliconflow()
    assert client.billed == 0
    assert client.last_answered == "rate_reset_before"


def test_a_reset_after_the_request_has_billed(client: Client) -> None:
    client.set(rate_reset_after=1)
    with pytest.raises(requests.ConnectionError, match="reset"):
        client.siliconflow()
    assert client.billed == 1
    assert client.last_answered == "rate_reset_after"


def test_a_truncated_answer_has_billed(client: Client) -> None:
    client.set(rate_truncated_answer=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="more expected"):
        client.siliconflow()
    assert client.billed == 1


def test_a_hanging_answer_has_billed_and_the_client_gives_up(client: Client) -> None:
    client.set(rate_hang=1, hang_seconds=30)
    with pytest.raises(requests.ReadTimeout):
        client.session.post(
            client.server.url + "/v1/images/generations", json={"model": "m", "prompt": "p"}, timeout=(1, 0.1)
        )
    assert client.billed == 1


@pytest.mark.parametrize(("fault", "status"), [("rate_html_200", 200), ("rate_500_html", 500)])
def test_html_instead_of_an_answer_bills_nothing(client: Client, fault: str, status: int) -> None:
    client.set(**{fault: 1})
    answer = client.siliconflow()
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert client.billed == 0


def test_a_429_says_when_to_come_back(client: Client) -> None:
    client.set(rate_429=1, retry_after=7)
    answer = client.siliconflow()
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    client.set(rate_429=1, retry_after=None)
    assert "Retry-After" not in client.siliconflow().headers
    assert client.billed == 0


def test_a_503_carries_the_code_of_an_overloaded_service(client: Client) -> None:
    client.set(rate_503=1)
    answer = client.siliconflow()
    assert (answer.status_code, answer.json()["code"]) == (503, 50505)
    assert client.billed == 0


def test_the_limit_of_a_minute_lets_in_again_when_it_says(client: Client, clock: Clock) -> None:
    client.set(requests_per_minute=2)
    assert client.siliconflow().status_code == 200
    clock.now += 20
    assert client.siliconflow().status_code == 200
    turned_away = client.siliconflow()
    assert (turned_away.status_code, turned_away.headers["Retry-After"]) == (429, "40")
    clock.now += 40
    assert client.siliconflow().status_code == 200
    assert client.billed == 3


def test_the_limit_of_a_day_ends_with_the_day(client: Client, clock: Clock) -> None:
    client.set(requests_per_day=1)
    assert client.siliconflow().status_code == 200
    turned_away = client.siliconflow()
    assert (turned_away.status_code, turned_away.json()["code"]) == (429, 50605)
    clock.now += 86_400
    assert client.siliconflow().status_code == 200


def test_more_at_a_time_than_allowed_are_turned_away(client: Client) -> None:
    client.set(concurrency=2, latency=0.3)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: Client(client.server).siliconflow(f"cat {number}"), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503]
    assert client.billed == 2


def test_latency_is_between_the_purchase_and_the_answer(client: Client) -> None:
    client.set(latency=0.1, latency_jitter=0.05)
    assert client.siliconflow().elapsed.total_seconds() >= 0.1
    assert client.siliconflow("").elapsed.total_seconds() < 0.1


def test_refused_words_are_a_451_in_the_synchronous_protocols(client: Client) -> None:
    client.set(refuse=["blood"])
    answer = client.siliconflow("A Blood red sky")
    assert (answer.status_code, answer.json()["code"]) == (451, 20021)
    assert client.openai("blood").json()["error"]["code"] == 20021
    assert client.billed == 0


def test_refused_and_failing_tasks_say_so_when_they_are_polled(client: Client) -> None:
    client.set(refuse=["blood"], task_fails=["storm"], failed_word="failure")
    refused = client.get(client.submitted("blood")).json()
    assert refused["state"] == "failure"
    assert "content policy" in refused["data"]["description"]
    failed = client.get(client.submitted("storm")).json()
    assert "upstream" in failed["data"]["description"]
    token = client.nano_banana("storm").json()["data"]["task_id"]
    nano = client.get(f"/api/gemini/nano-banana/{token}").json()["data"]
    assert (nano["state"], "upstream" in nano["msg"]) == ("failure", True)
    assert client.billed == 0


def test_polls_can_fail_and_the_task_is_done_all_the_same(client: Client) -> None:
    path = client.submitted()
    client.set(rate_poll_error=1)
    assert client.get(path).status_code == 500
    client.set(rate_poll_404=1)
    assert client.get(path).status_code == 404
    client.set(done_word="finished")
    assert client.get(path).json()["state"] == "finished"


def test_a_fresh_task_can_be_unknown_for_a_while(client: Client, clock: Clock) -> None:
    client.set(early_404_seconds=3)
    path = client.submitted()
    assert client.get(path).status_code == 404
    clock.now += 3
    assert client.get(path).status_code == 200


def test_a_task_can_be_done_without_pictures_at_first(client: Client) -> None:
    client.set(rate_empty_success=1)
    path = client.submitted()
    images = [client.get(path).json()["data"]["images"] for _ in range(3)]
    assert [len(found) for found in images] == [0, 0, 1]


def test_urls_end_and_can_be_renewed_by_a_poll(client: Client, clock: Clock) -> None:
    client.set(url_lifetime=60)
    path = client.submitted()
    url = client.get(path).json()["data"]["images"][0]["url"]
    assert client.get(url).status_code == 200
    clock.now += 61
    client.get(path)
    assert client.get(url).status_code == 403
    client.set(url_lifetime=60, poll_renews_url=True)
    client.get(path)
    assert opened(client.get(url)).format == "PNG"


def test_faults_that_do_not_exist_or_are_out_of_range_change_nothing(client: Client) -> None:
    for body in ({"rate_429": 2}, {"no_such_fault": 1}):
        assert client.session.put(client.server.url + "/sandbox/faults", json=body, timeout=5).status_code == 422
    assert client.get("/sandbox/faults").json() == Faults(picture="flat").model_dump(mode="json")


def test_the_same_seed_gives_the_same_faults_in_whatever_order(client: Client) -> None:
    client.set(rate_503=0.5, fault_seed=3)

    def statuses(order: list[int]) -> dict[int, list[int]]:
        client.post("/sandbox/reset", {})
        seen: dict[int, list[int]] = {}
        for number in order:
            seen.setdefault(number, []).append(client.siliconflow(f"cat {number}").status_code)
        return seen

    forwards = statuses([*range(20), *range(20)])
    backwards = statuses([*reversed(range(20)), *reversed(range(20))])
    assert forwards == backwards
    assert {status for found in forwards.values() for status in found} == {200, 503}
