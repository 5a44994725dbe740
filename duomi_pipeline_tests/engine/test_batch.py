"""Many requests at a time: one failure stops nothing, an error that all would meet stops at once, caps are exact."""

import json
import time
from collections.abc import Callable
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import pytest

from duomi_pipeline.engine import GENERATED_BY_ITSELF, State
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, Home, wait_until
from duomi_pipeline_tests.engine.test_purchase import ANSWER

Wait = Callable[[float], str]
WORKERS = 8  # as in home.QUICK


# --- one prompt's failure -----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["siliconflow", "duomi_async"])
def test_three_refused_prompts_of_31_fail_by_name_with_the_words_of_the_service(home: Home, protocol: str) -> None:
    home.sandbox.change_faults(refuse=("forbidden",))
    home.write_many(28)
    for name in "xyz":
        home.write(name, f"forbidden {name}")
    run = home.run(protocol=protocol)
    assert run.counts == {"generated": 28, "reused": 0, "failed": 3, "remaining": 0}
    assert set(run.failures) == {"json_x", "json_y", "json_z"}
    assert all("was rejected" in message for message in run.failures.values())
    assert run.stop is None
    assert len(home.infos()) == 28
    assert home.billed == 28
    assert home.plan(protocol=protocol).counts[State.FAILED_FOR_GOOD] == 3


def test_busy_answers_are_tried_again_with_a_back_off(home: Home) -> None:
    home.sandbox.change_faults(rate_503=1)
    home.write("a", "a lighthouse")
    worker = home.worker()
    wait_until(lambda: home.posts == 2, "a second try")
    home.sandbox.change_faults(rate_503=0)
    assert worker.result()["exit"] == 0
    first, second, third = (post.at for post in home.sandbox.books.posts())
    assert 0.5 <= second - first < third - second
    assert (home.billed, home.money().billed, home.money().maybe_billed) == (1, 1, 0)


@pytest.mark.parametrize("fault", ["rate_503", "rate_500_html"])
def test_a_service_that_stays_busy_fails_the_prompt_for_now_after_so_many_tries(home: Home, fault: str) -> None:
    home.sandbox.change_faults(**{fault: 1})
    home.write("a", "a lighthouse")
    run = home.run(max_attempts=2)
    assert (run.outcome("a").attempts, home.posts, run.stop) == (2, 2, None)
    failure = run.outcome("a").failure
    assert failure is not None
    assert (failure.error_class, failure.final) == ("busy", False)
    assert home.state("a") is State.FAILED_FOR_NOW
    assert (home.money().billed, home.money().maybe_billed) == (0, 0)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", [str, lambda s: formatdate(time.time() + s + 1, usegmt=True)])
def test_the_wait_that_the_service_asks_for_is_kept(home: Home, status: int, header: Wait) -> None:
    home.write("a", "a lighthouse")
    with ScriptedService(Answer("{}", status, {"Retry-After": header(1)}), ANSWER) as service:
        started = time.monotonic()
        run = home.run(base_url=service.url)
    assert run.counts["generated"] == 1
    assert 1 <= time.monotonic() - started < 4
    assert (home.money().billed, home.money().maybe_billed) == (1, 0)


def test_one_prompts_rate_limit_holds_back_the_other_requests_too(home: Home) -> None:
    home.write_many(6)
    slow_down = Answer(json.dumps({"message": "too fast"}), 429, {"Retry-After": "1"})
    with ScriptedService(ANSWER, slow_down, ANSWER) as service:
        started = time.monotonic()
        run = home.run(base_url=service.url, max_concurrency=1)
    assert run.counts["generated"] == 6
    assert time.monotonic() - started >= 1
    assert len(service.asked) == 7


# --- errors that every prompt would meet --------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"api_key": "another"}, ("Invalid token", "DUOMI_API_KEY")),
        ({"credits": 0}, ("balance is insufficient", "top up")),
        ({"disabled_models": ("m",)}, ("Model disabled", "DUOMI_MODEL")),
        ({"known_models": ("other",)}, ("Model does not exist", "DUOMI_MODEL")),
        ({"requests_per_day": 1}, ("IPD limit reached",)),
    ],
)
def test_an_error_that_all_would_meet_stops_at_once_and_leaves_the_rest(
    home: Home, faults: dict[str, object], said: tuple[str, ...]
) -> None:
    home.sandbox.change_faults(**faults)
    home.write_many(40)
    run = home.run(model="m", api_key="sk-secret")
    assert run.stop is not None
    assert run.stop.by == "service"
    assert all(words in run.stop.message for words in said)
    assert "sk-secret" not in run.stop.message
    assert run.failures == {}
    assert len(run.remaining) == run.counts["remaining"] == 40 - run.counts["generated"]
    assert home.posts <= 1 + WORKERS
    assert home.plan(model="m").counts[State.MISSING] == len(run.remaining)
    assert home.money().maybe_billed == 0


@pytest.mark.parametrize(("prompts", "sent"), [(6, 1), (40, 1), (3, 3)])
def test_of_more_than_a_handful_one_request_goes_first_and_meets_the_error_for_all(
    home: Home, prompts: int, sent: int
) -> None:
    home.sandbox.change_faults(disabled_models=("m",))
    home.write_many(prompts)
    run = home.run(model="m")
    assert len(run.remaining) == prompts
    assert 1 <= home.posts <= sent


def test_an_address_that_is_wrong_stops_at_once(home: Home) -> None:
    home.write_many(20)
    with ScriptedService(Answer("<h1>nothing here</h1>", 404)) as service:
        run = home.run(base_url=service.url)
        assert len(service.asked) <= 1 + WORKERS
    assert run.stop is not None
    assert "DUOMI_BASE_URL" in run.stop.message
    assert len(run.remaining) == 20


def test_credits_that_end_after_25_of_60_stop_the_run_and_the_next_one_pays_for_nothing_again(home: Home) -> None:
    home.sandbox.change_faults(credits=25)
    home.write_many(60)
    first = home.run()
    assert first.stop is not None
    assert (first.stop.by, first.counts["generated"], len(first.remaining)) == ("service", 25, 35)
    assert home.posts <= 25 + WORKERS
    home.sandbox.change_faults(credits=100)
    second = home.run()
    assert (second.stop, second.counts["generated"]) == (None, 35)
    assert (home.billed, len(home.infos()), home.money().billed) == (60, 60, 60)


# --- caps ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["siliconflow", "duomi_async"])
def test_eight_workers_buy_exactly_as_many_pictures_as_allowed(home: Home, protocol: str) -> None:
    home.sandbox.change_faults(latency=0.02)
    home.write_many(40)
    run = home.run(max_images=10, protocol=protocol)
    assert run.stop is not None
    assert run.stop.by == "cap"
    assert (run.counts["generated"], len(run.remaining), run.failures) == (10, 30, {})
    assert (home.posts, home.billed, len(home.files())) == (10, 10, 10)
    assert home.plan(protocol=protocol).counts[State.MISSING] == 30


@pytest.mark.parametrize(
    ("caps", "named", "bought"),
    [
        ({"max_images_per_run": 3}, "DUOMI_MAX_IMAGES_PER_RUN", 3),
        ({"max_spend_per_run": 0.35}, "DUOMI_MAX_SPEND_PER_RUN", 3),
        ({"max_spend_per_run": 0.3}, "DUOMI_MAX_SPEND_PER_RUN", 3),
        ({"max_spend_per_day": 0.3}, "DUOMI_MAX_SPEND_PER_DAY", 3),
        ({"requests_per_day": 3}, "continues after", 3),
        ({"max_images_per_run": 5, "batch_size": 2}, "DUOMI_MAX_IMAGES_PER_RUN", 4),
        ({"max_images_per_run": 0}, "DUOMI_MAX_IMAGES_PER_RUN", 0),
    ],
)
def test_a_cap_stops_before_it_is_passed_and_is_named(
    home: Home, caps: dict[str, Any], named: str, bought: int
) -> None:
    home.write_many(12)
    run = home.run(**caps)
    assert run.stop is not None
    assert named in run.stop.message
    assert home.billed == bought


@pytest.mark.parametrize(
    ("settings", "run_cap", "message", "advice"),
    [
        ({}, 1, "max_images=1 is reached", "Start again, each run may use as much; or raise max_images."),
        ({"max_images_per_run": 3}, 1, "max_images=1 is reached", "or raise max_images."),
        ({"max_images_per_run": 1}, 3, "DUOMI_MAX_IMAGES_PER_RUN=1", "or raise DUOMI_MAX_IMAGES_PER_RUN."),
        ({"max_spend_per_day": 0.1}, None, "DUOMI_MAX_SPEND_PER_DAY=0.1", "Start again after midnight UTC; or raise"),
    ],
)
def test_a_reached_cap_is_called_what_the_user_called_it_and_says_what_helps(
    home: Home, settings: dict[str, Any], run_cap: int | None, message: str, advice: str
) -> None:
    home.write_many(4)
    run = home.run(max_images=run_cap, **settings)
    assert run.stop is not None
    assert run.stop.message.startswith(message)
    assert advice in run.stop.advice


def test_what_was_not_billed_does_not_count_against_a_cap(home: Home) -> None:
    home.sandbox.change_faults(refuse=("forbidden",))
    home.write_many(2)
    for number in range(5):
        home.write(f"a{number}", f"forbidden {number}")
    run = home.run(max_images=2, max_concurrency=1)
    assert (run.stop, run.counts["generated"], run.counts["failed"]) == (None, 2, 5)


def test_a_spend_cap_without_a_price_does_not_start_and_names_the_setting_that_is_missing(home: Home) -> None:
    home.write_many(3)
    home.defaults.pop("price_per_image")
    with pytest.raises(Exception, match="DUOMI_PRICE_PER_IMAGE"):
        home.run(max_spend_per_run=0.1)
    assert home.posts == 0


def test_an_image_cap_works_without_a_price(home: Home) -> None:
    home.write_many(3)
    home.defaults.pop("price_per_image")
    assert home.run(max_images=2).counts["generated"] == 2
    assert (home.money().billed, home.money().spent) == (2, None)


def test_a_cap_does_not_keep_paid_tasks_and_free_copies_from_their_prompts(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write("a", "a lighthouse")
    home.write("c", "a castle")
    changes = {**ASYNCHRONOUS, "task_timeout": 0.2}
    home.run(**changes)
    home.sandbox.change_faults(task_seconds=0)
    home.write("b", "a new prompt")
    run = home.run(max_images=0, max_concurrency=1, **changes)
    assert run.counts == {"generated": 2, "reused": 0, "failed": 0, "remaining": 1}


# --- sharing, reusing, repeating -----------------------------------------------------------------------


def test_prompts_with_the_same_request_pay_once_and_each_has_its_own_file_and_metadata(home: Home) -> None:
    for name in "abc":
        home.write(name, "the very same lighthouse")
    run = home.run()
    assert run.counts == {"generated": 1, "reused": 2, "failed": 0, "remaining": 0}
    assert (home.posts, len(home.files())) == (1, 3)
    infos = home.infos()
    assert {prompt_id: info.prompt_id for prompt_id, info in infos.items()} == dict(zip(infos, infos, strict=True))
    assert [run.outcome(name).files[0].file.split("_")[0] for name in "abc"] == ["a", "b", "c"]
    assert [o.cost for o in run.outcomes if o.status == "reused"] == [None, None]


@pytest.mark.parametrize("gone", ["a", "b"])
def test_a_file_of_a_shared_request_that_is_gone_is_copied_again_at_no_cost(home: Home, gone: str) -> None:
    home.write("a", "the very same lighthouse")
    home.write("b", "the very same lighthouse")
    home.run()
    next(home.images.glob(f"{gone}_*.png")).unlink()
    run = home.run()
    assert run.counts["reused"] == 1
    assert (home.posts, len(home.infos())) == (1, 2)


def test_a_picture_that_was_damaged_on_disk_does_not_keep_the_others_from_theirs(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    file = home.files()[0]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)
    home.write("b", "a castle")
    run = home.run(states=frozenset(State), max_concurrency=1)
    assert run.stop is None
    assert run.outcome("b").status == "generated"


def test_force_buys_again_and_keeps_the_earlier_picture(home: Home) -> None:
    home.write_many(2)
    home.run()
    before = home.files()
    run = home.run(states=frozenset(State), force=True)
    assert run.counts["generated"] == 2
    assert home.billed == 4
    assert set(before) < set(home.files())
    assert len(home.files()) == 4
    assert {o.files[0].file for o in run.outcomes}.isdisjoint(file.name for file in before)
    assert home.plan().counts[State.CURRENT] == 2


def test_a_second_run_without_force_sends_no_request(home: Home) -> None:
    home.write_many(5)
    home.run()
    run = home.run(states=frozenset(State))
    assert run.counts == {"generated": 0, "reused": 5, "failed": 0, "remaining": 0}
    assert (home.posts, len(home.files())) == (5, 5)


def test_a_damaged_picture_that_would_be_reused_fails_its_prompt_alone(home: Home) -> None:
    home.write_many(5)
    home.run()
    damaged = sorted(home.files())[2]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1  # same size: only its checksum tells
    damaged.write_bytes(data)

    run = home.run(states=frozenset(State))

    assert run.counts == {"generated": 0, "reused": 4, "failed": 1, "remaining": 0}
    (failed,) = (outcome for outcome in run.outcomes if outcome.failure)
    assert damaged.name in str(failed.failure)
    assert home.posts == 5


def test_leaving_the_iteration_early_finishes_what_is_in_flight_and_sends_nothing_more(home: Home) -> None:
    home.sandbox.change_faults(latency=0.05)
    home.write_many(30)
    with home.session(max_concurrency=4) as session:
        entries = home.plan().entries
        with session.generating(entries) as batch:
            next(iter(batch))
        record = session.ledger.run(session.run_id)
    assert home.posts <= 8
    assert len(home.infos()) == home.billed
    assert record is not None
    assert record.ended_at is not None


def test_two_runs_together_have_no_more_in_flight_than_is_set(home: Home) -> None:
    home.sandbox.change_faults(latency=0.2, concurrency=3)  # a fourth one at a time would be turned away
    home.write_many(16)
    other = home.worker(requests_in_flight=3).planned()
    home.run(requests_in_flight=3)
    assert other.result()["exit"] == 0
    assert home.posts == home.billed == len(home.infos()) == 16


def test_how_a_run_ended_is_in_the_ledger(home: Home) -> None:
    home.sandbox.change_faults(refuse=("forbidden",))
    home.write("x", "forbidden")
    home.write_many(6)
    run = home.run(max_images=4, max_concurrency=1)
    with home.session() as session:
        record = session.ledger.run(run.id)
    assert record is not None
    assert (record.trigger, record.stopped_by, record.counts) == ("cli", "cap", run.counts)
    assert record.message is not None
    assert record.message == "max_images=4 is reached (4 images used)."


def test_the_delay_lies_between_the_starts_of_requests(home: Home) -> None:
    home.write_many(4)
    home.run(delay=0.4)
    times = [post.at for post in home.sandbox.books.posts()]
    assert (
        min(later - earlier for earlier, later in pairwise(times)) > 0.2
    )  # much may lie between a start and its arrival


def test_one_prompts_own_model_that_does_not_exist_is_no_matter_to_the_others(home: Home) -> None:
    home.sandbox.change_faults(known_models=(home.settings().model,))
    home.write("a", "a lighthouse", generation={"model": "no/such"})
    home.write_many(8)
    run = home.run()
    assert (run.stop, run.counts["generated"], run.counts["failed"]) == (None, 8, 1)
    assert home.state("a") is State.FAILED_FOR_GOOD


def test_blank_pictures_are_not_bought_again_by_themselves(home: Home) -> None:
    home.sandbox.change_faults(rate_blank_image=1)
    home.write("a", "a lighthouse")
    home.run()
    home.run(states=GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW})
    assert home.billed == 1


def test_sandbox_pictures_cost_nothing_whatever_the_service_costs(home: Home) -> None:
    assert home.settings(base_url="sandbox", price_per_image=9.0).price == 0.0
    assert home.settings(price_per_image=9.0).price == 9.0


def test_a_forced_purchase_that_was_interrupted_is_finished_though_a_picture_is_there(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run(**ASYNCHRONOUS)
    home.sandbox.change_faults(task_seconds=3600)
    home.run(states=frozenset(State), force=True, task_timeout=0.2, **ASYNCHRONOUS)
    home.sandbox.change_faults(task_seconds=0)
    home.run(states=GENERATED_BY_ITSELF, **ASYNCHRONOUS)
    assert (home.posts, home.billed, len(home.files())) == (2, 2, 2)
