"""One request's way to a saved picture: each protocol, tasks, lost answers, bad pictures; and what each costs."""

import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.engine import State
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, BEFORE_THE_DOWNLOAD, SIZE, Home, wait_until
from duomi_pipeline_tests.images.harness import encoded, gradient

DEAD_FOR_LONG = 100_000.0  # seconds; no address lives so long
PICTURE = encoded(gradient((72, 128)))
ANSWER = Answer(json.dumps({"data": [{"b64_json": base64.b64encode(PICTURE).decode()}]}))


@pytest.mark.parametrize(
    "model", ["stabilityai/stable-diffusion-xl-base-1.0", "gpt-image-2", "gemini-3-pro-image-preview"]
)
@pytest.mark.parametrize("fault", [{}, {"answer": "relative_url"}, {"answer": "url_string"}, {"answer_at_once": True}])
def test_each_model_ends_as_a_whole_picture_of_the_delivery_size(
    home: Home, model: str, fault: dict[str, object]
) -> None:
    home.sandbox.change_faults(**fault)
    home.write("a", "a lighthouse")
    outcome = home.run(model=model).outcome("a")
    assert outcome.status == "generated"
    assert home.pictures() == [("PNG", (72, 128))]
    info = home.infos()["json_a"]
    assert (info.model, info.prompt, info.size, info.request_key) == (model, "a lighthouse", SIZE, outcome.request.key)
    assert (info.received_size, info.requested_size) == (
        outcome.files[0].received_size,
        str(outcome.request.asked_size),
    )
    assert (home.posts, home.billed, home.money().billed, outcome.cost) == (1, 1, 1, 0.1)


@pytest.mark.parametrize("answer", ["b64", "b64_data_uri"])
def test_pictures_inside_the_answer_are_saved_without_a_download(home: Home, answer: str) -> None:
    home.sandbox.change_faults(answer=answer)
    home.write("a", "a lighthouse")
    assert home.run(protocol="openai").counts["generated"] == 1
    assert home.sandbox.books.totals().downloads == 0
    assert home.purchase_states() == ["saved"]
    assert home.infos().keys() == {"json_a"}


def test_several_pictures_of_one_request_are_numbered_and_paid_each(home: Home) -> None:
    home.write("a", "a lighthouse")
    outcome = home.run(batch_size=3).outcome("a")
    assert [file.file[-6:] for file in outcome.files] == ["_1.png", "_2.png", "_3.png"]
    assert (home.posts, home.billed, home.money().billed) == (1, 3, 3)
    assert outcome.cost == pytest.approx(0.3)
    assert home.state("a", batch_size=3) is State.CURRENT


@pytest.mark.parametrize("gone", [0, 2])
def test_a_set_of_pictures_with_one_file_gone_is_missing(home: Home, gone: int) -> None:
    home.write("a", "a lighthouse")
    home.run(batch_size=3)
    home.files()[gone].unlink()
    assert home.state("a", batch_size=3) is State.MISSING


# --- tasks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faults",
    [
        {"early_404_seconds": 0.3},
        {"task_seconds": 0.3},
        {"rate_empty_success": 1},
        {"rate_poll_error": 0.5, "task_seconds": 0.1},
        {"rate_poll_404": 0.5, "task_seconds": 0.1},
    ],
)
def test_no_poll_but_an_explicit_word_ends_a_task(home: Home, faults: dict[str, float]) -> None:
    home.sandbox.change_faults(**faults)
    home.write_many(4)
    assert home.run(**ASYNCHRONOUS).counts["generated"] == 4
    assert (home.posts, home.billed) == (4, 4)
    assert home.sandbox.books.totals().polls > 4


@pytest.mark.parametrize(
    ("fault", "word", "error_class", "state", "final"),
    [
        ("refuse", "rejected", "refused", State.FAILED_FOR_GOOD, True),
        ("task_fails", "failed", "task_failed", State.FAILED_FOR_GOOD, False),
    ],
)
def test_the_word_of_the_service_ends_a_task_with_its_reason(
    home: Home, fault: str, word: str, error_class: str, state: State, final: bool
) -> None:
    home.sandbox.change_faults(**{fault: ("lighthouse",)})
    home.write("a", "a lighthouse")
    failure = home.run(**ASYNCHRONOUS).outcome("a").failure
    assert failure is not None
    assert (failure.error_class, failure.final) == (error_class, final)
    assert word in failure.message
    assert home.state("a", **ASYNCHRONOUS) is state
    assert home.posts == 1


def test_a_task_that_timed_out_is_looked_at_by_the_next_run_before_anything_is_bought(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write("a", "a lighthouse")
    changes = {**ASYNCHRONOUS, "task_timeout": 0.2}
    failure = home.run(**changes).outcome("a").failure
    assert failure is not None
    assert (failure.error_class, failure.final, home.purchase_states()) == ("task_timeout", False, ["submitted"])
    home.sandbox.change_faults(task_seconds=0)
    assert home.run(**changes).counts["generated"] == 1
    assert (home.posts, home.billed) == (1, 1)


def test_a_task_that_is_still_not_done_at_the_second_run_is_given_up_and_bought_anew(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write("a", "a lighthouse")
    changes = {**ASYNCHRONOUS, "task_timeout": 0.2}
    home.run(**changes)
    home.run(**changes)
    assert home.purchase_states() == ["failed", "submitted"]
    assert home.posts == 2


def test_a_task_that_timed_out_is_not_given_up_by_looks_that_fail(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write("a", "a lighthouse")
    changes = {**ASYNCHRONOUS, "task_timeout": 0.2}
    home.run(**changes)
    home.sandbox.change_faults(task_seconds=0, rate_poll_error=1)
    home.run(**changes)
    home.sandbox.change_faults(rate_poll_error=0)
    home.run(**changes)
    assert (home.posts, home.billed, len(home.files())) == (1, 1, 1)


def test_a_key_that_stops_working_while_a_task_runs_leaves_the_task_to_that_key(home: Home) -> None:
    home.sandbox.change_faults(api_key="good", task_seconds=3600)
    home.write("a", "a lighthouse")
    worker = home.worker(api_key="good", **ASYNCHRONOUS)
    wait_until(lambda: home.billed == 1, "the task to be taken")
    home.sandbox.change_faults(api_key="another", task_seconds=0)
    result = worker.result()
    assert (result["exit"], result["stop"]) == (1, None)
    elsewhere = home.run(api_key="another", **ASYNCHRONOUS).outcome("a").failure
    assert elsewhere is not None
    assert elsewhere.error_class == "task_elsewhere"
    home.sandbox.change_faults(api_key="good")
    assert home.run(api_key="good", **ASYNCHRONOUS).counts["generated"] == 1
    assert (home.posts, home.billed) == (1, 1)


def test_an_address_that_died_is_asked_for_again_at_its_task_before_anything_is_bought(
    home: Home, tmp_path: Path
) -> None:
    home.sandbox.change_faults(url_lifetime=60, poll_renews_url=True)
    home.write("a", "a lighthouse")
    assert home.worker(spec={"die_at": BEFORE_THE_DOWNLOAD}, **ASYNCHRONOUS).result()["exit"] == -9
    with closing(sqlite3.connect(tmp_path / "books.db", isolation_level=None)) as books:
        books.execute("UPDATE purchases SET url_since = 0")
    home.run(**ASYNCHRONOUS)
    assert (home.posts, len(home.files())) == (1, 1)


def test_an_address_that_is_dead_for_long_does_not_keep_its_prompt_from_ever_getting_a_picture(home: Home) -> None:
    home.write("a", "a lighthouse")
    assert home.worker(spec={"die_at": BEFORE_THE_DOWNLOAD}).result()["exit"] == -9
    assert home.purchase_states() == ["ready"]
    home.age_ledger(DEAD_FOR_LONG)
    home.sandbox.books.reset()  # the service has forgotten the picture
    home.run()
    home.run()
    assert home.state("a") is State.CURRENT


def test_a_picture_whose_host_fails_is_downloaded_by_the_next_run(home: Home) -> None:
    home.sandbox.change_faults(rate_truncated_download=1)
    home.write_many(3)
    run = home.run()
    assert [o.failure.error_class for o in run.outcomes if o.failure] == ["not_downloaded"] * 3
    assert home.files() == []
    home.sandbox.change_faults(rate_truncated_download=0)
    assert home.run().counts["generated"] == 3
    assert (home.posts, home.billed) == (3, 3)


# --- lost answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["rate_reset_after", "rate_truncated_answer", "rate_reset_before", "rate_hang"])
def test_an_answer_that_is_lost_is_not_asked_for_again_when_no_repeat_is_allowed(home: Home, fault: str) -> None:
    home.sandbox.change_faults(**{fault: 1})
    home.write("a", "a lighthouse")
    failure = home.run(ambiguous_retries=0, timeout=0.3).outcome("a").failure
    assert failure is not None
    assert (failure.error_class, failure.final) == ("ambiguous", True)
    assert (home.posts, home.money().billed, home.money().maybe_billed) == (1, 0, 1)
    assert home.money().maybe_spent == pytest.approx(0.1)
    assert home.state("a") is State.FAILED_FOR_GOOD


def test_a_lost_answer_is_asked_for_again_once_and_both_are_counted(home: Home) -> None:
    home.sandbox.change_faults(rate_reset_after=1)
    home.write("a", "a lighthouse")
    assert home.run().outcome("a").failure is not None
    assert (home.posts, home.billed, home.money().maybe_billed) == (2, 2, 2)


def test_two_runs_at_once_share_the_repeats_of_a_lost_answer(home: Home) -> None:
    home.sandbox.change_faults(rate_reset_after=1, latency=0.3)
    home.write("a", "a lighthouse")
    gate = home.path / "go"
    workers = [home.worker(spec={"wait_for": str(gate)}).planned() for _ in range(2)]
    gate.touch()
    assert [worker.result()["exit"] for worker in workers] == [1, 1]
    assert home.posts == 2


def test_a_repeat_that_succeeds_leaves_one_picture_and_one_possible_double(home: Home) -> None:
    home.write("a", "a lighthouse")
    with ScriptedService(Answer(drop=1), ANSWER) as service:
        assert home.run(base_url=service.url).counts["generated"] == 1
        assert len(service.asked) == 2
    assert (home.money().billed, home.money().maybe_billed) == (1, 1)


# --- pictures that are none --------------------------------------------------------------------------


def test_spoilt_downloads_are_fetched_again_without_a_second_purchase(home: Home) -> None:
    rates = dict.fromkeys(
        ("rate_html_image", "rate_truncated_download", "rate_truncated_image", "rate_blank_image"), 0.06
    )
    home.sandbox.change_faults(**rates, rate_jpeg_as_png=0.2, rate_wrong_size=0.2)
    home.write_many(30)
    run = home.run(max_concurrency=30)
    assert run.failures == {}
    assert set(home.pictures()) == {("PNG", (72, 128))}
    assert len(home.infos()) == 30
    assert (home.posts, home.billed) == (30, 30)
    assert home.sandbox.books.totals().downloads > 30


@pytest.mark.parametrize(("fault", "received"), [("rate_jpeg_as_png", "72x128"), ("rate_wrong_size", "1024x1024")])
def test_a_picture_of_another_format_or_size_is_brought_to_what_was_wanted(
    home: Home, fault: str, received: str
) -> None:
    home.sandbox.change_faults(**{fault: 1})
    home.write("a", "a lighthouse")
    outcome = home.run().outcome("a")
    assert (outcome.files[0].size, outcome.files[0].received_size) == (SIZE, received)
    assert home.pictures() == [("PNG", (72, 128))]
    assert home.posts == 1


@pytest.mark.parametrize("fault", ["rate_html_image", "rate_truncated_image", "rate_blank_image"])
def test_bytes_inside_the_answer_that_are_no_picture_fail_the_prompt_and_were_billed_for_sure(
    home: Home, fault: str
) -> None:
    home.sandbox.change_faults(answer="b64", **{fault: 1})
    home.write("a", "a lighthouse")
    failure = home.run().outcome("a").failure
    assert failure is not None
    assert failure.error_class == "bad_image"
    assert (home.files(), home.posts) == ([], 1)
    assert home.state("a") is State.FAILED_FOR_GOOD, "only the user may pay for it once more"
    assert (home.money().billed, home.money().maybe_billed, home.money().reserved) == (1, 0, 0)


def test_an_address_that_keeps_giving_no_picture_fails_its_prompt_after_a_few_tries(home: Home) -> None:
    home.sandbox.change_faults(rate_html_image=1)
    home.write("a", "a lighthouse")
    failure = home.run().outcome("a").failure
    assert failure is not None
    assert (failure.error_class, failure.final) == ("bad_image", False)
    assert (home.files(), home.posts) == ([], 1)
    assert 2 <= home.sandbox.books.totals().downloads <= 4  # on a busy machine its patience ends before its tries


def test_an_address_that_is_none_fails_its_own_prompt_only(home: Home) -> None:
    home.sandbox.change_faults(told_url="http://[::1")
    home.write("a", "a lighthouse")
    run = home.run()
    assert run.stop is None
    assert list(run.failures) == ["json_a"]


def test_a_seed_of_any_size_does_not_lose_a_paid_picture(home: Home) -> None:
    home.write("a", "a lighthouse")
    body = json.dumps({**json.loads(str(ANSWER.body)), "seed": 2**64 - 1})
    with ScriptedService(Answer(body)) as service:
        run = home.run(base_url=service.url)
    assert run.counts["generated"] == 1


def test_broken_bytes_in_an_answer_are_made_good_from_its_address(home: Home) -> None:
    home.sandbox.change_faults(answer="both", rate_html_image=0.3)
    home.write_many(10)
    run = home.run()
    assert run.counts["generated"] == 10
    assert home.posts == 10
