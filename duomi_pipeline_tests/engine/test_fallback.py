"""A model that the service does not serve: the user's chain of others, what it costs, and what is known of it later."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from duomi_pipeline.engine import GENERATED_BY_ITSELF, Outcome, State
from duomi_pipeline.ledger import Selection
from duomi_pipeline.manifest import planned_rows
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.reporting.run_log import RunLog
from duomi_pipeline_tests.engine.home import BEFORE_THE_RENAME, Home, Run, wait_until

CHAIN: dict[str, Any] = {"model": "m", "fallback_models": "f, g"}


def asked(home: Home) -> list[str | None]:
    """The models of all requests that reached the service, in order."""
    return [post.model for post in home.sandbox.books.posts()]


def models(outcomes: Sequence[Outcome]) -> set[str]:
    return {outcome.request.model for outcome in outcomes}


def selection(home: Home, name: str) -> Selection:
    with home.session() as session:
        return session.ledger.selections()[f"json_{name}"]


def run(home: Home, *args: Any, **changes: Any) -> Run:
    return home.run(*args, **{**CHAIN, **changes})


# --- one request is wasted, no more -------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"disabled_models": ("m",)}, {"known_models": ("f",)}])
def test_a_model_that_is_not_served_costs_one_request_and_the_next_in_the_chain_makes_the_pictures(
    home: Home, fault: dict[str, Any]
) -> None:
    home.sandbox.change_faults(**fault)
    home.write_many(12)
    done = run(home)
    assert (done.stop, done.counts["generated"], models(done.outcomes)) == (None, 12, {"f"})
    assert (asked(home)[0], asked(home).count("m"), asked(home).count("f")) == ("m", 1, 12)
    assert {info.model for info in home.infos().values()} == {"f"}
    assert (home.billed, home.money().billed) == (12, 12)
    assert home.money().spent == pytest.approx(1.2)
    assert home.plan(**CHAIN).counts[State.OUTDATED] == 12


def test_the_pictures_of_a_fallback_are_kept_and_reused_at_no_cost(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",))
    home.write_many(7)
    run(home)
    assert run(home, GENERATED_BY_ITSELF).counts["remaining"] == 0
    assert home.posts == 8, "what is only outdated is left alone"
    again = run(home)
    assert (again.counts["reused"], home.posts, home.billed) == (7, 9, 7), "one look whether the model is back"
    home.sandbox.change_faults(disabled_models=())
    back = run(home)
    assert (back.counts["generated"], models(back.outcomes)) == (7, {"m"})
    assert home.plan(**CHAIN).counts[State.CURRENT] == 7


def test_each_model_of_the_chain_is_asked_once_until_one_is_served(home: Home) -> None:
    home.sandbox.change_faults(known_models=("g",), latency=0.02)
    home.write_many(20)
    done = run(home)
    assert (done.counts["generated"], models(done.outcomes)) == (20, {"g"})
    assert (asked(home)[:3], asked(home).count("m"), asked(home).count("f")) == (["m", "f", "g"], 1, 1)


def test_of_a_handful_no_more_is_wasted_than_was_in_flight(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",), latency=0.05)
    home.write_many(5)
    done = run(home, max_concurrency=2)
    assert (done.counts["generated"], asked(home).count("f")) == (5, 5)
    assert asked(home).count("m") <= 2


def test_without_a_chain_the_run_stops_as_ever(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",))
    home.write_many(7)
    done = run(home, fallback_models="")
    assert done.stop is not None
    assert (done.stop.by, home.posts, len(done.remaining)) == ("service", 1, 7)


def test_a_chain_at_its_end_stops_the_run_and_leaves_the_prompts_as_they_were(home: Home) -> None:
    home.sandbox.change_faults(known_models=("other",))
    home.write_many(9)
    done = run(home)
    assert done.stop is not None
    assert done.stop.by == "service"
    assert "DUOMI_FALLBACK_MODELS" in done.stop.message
    assert asked(home) == ["m", "f", "g"]
    assert (len(done.remaining), home.plan(**CHAIN).counts[State.MISSING]) == (9, 9)


@pytest.mark.parametrize("fault", [{"credits": 0}, {"api_key": "another"}])
def test_other_errors_do_not_move_along_the_chain(home: Home, fault: dict[str, Any]) -> None:
    home.sandbox.change_faults(**fault)
    home.write_many(6)
    assert run(home).stop is not None
    assert set(asked(home)) == {"m"}


# --- whose model --------------------------------------------------------------------------------------


def test_a_prompts_own_model_falls_back_too_and_is_no_matter_to_the_others(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("own",))
    home.write("a", "a lighthouse", generation={"model": "own"})
    home.write_many(7)
    done = run(home)
    assert done.counts["generated"] == 8
    assert (done.outcome("a").request.model, models(done.outcomes)) == ("f", {"m", "f"})
    assert home.state("a", **CHAIN) is State.OUTDATED
    assert home.state("p00", **CHAIN) is State.CURRENT


def test_a_prompts_own_model_without_any_other_fails_alone_and_for_good(home: Home) -> None:
    home.sandbox.change_faults(known_models=("m",))
    home.write("a", "a lighthouse", generation={"model": "own"})
    home.write("b", "a castle", generation={"model": "own"})
    home.write_many(7)
    done = run(home, max_concurrency=1)
    assert (done.stop, done.counts["generated"], set(done.failures)) == (None, 7, {"json_a", "json_b"})
    assert [asked(home).count(model) for model in ("own", "f", "g")] == [1, 1, 1]
    assert [home.state(name, **CHAIN) for name in "ab"] == [State.FAILED_FOR_GOOD] * 2


def test_a_model_of_the_chain_that_cannot_be_asked_for_this_is_passed_over(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",))
    home.write("a", "a lighthouse", generation={"batch_size": 2})
    done = run(home, fallback_models="gpt-image-2,f")
    assert (done.outcome("a").request.model, len(done.outcome("a").files)) == ("f", 2)


# --- bought once --------------------------------------------------------------------------------------


def test_a_fallbacks_request_that_another_prompt_makes_anyway_is_bought_once(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",), latency=0.1)
    home.write("a", "the very same lighthouse")
    home.write("b", "the very same lighthouse", generation={"model": "f"})
    home.write("c", "the very same lighthouse", generation={"guidance_scale": 7.5, "model": "f"})
    done = run(home)
    assert sorted(outcome.status for outcome in done.outcomes) == ["generated", "reused", "reused"]
    assert (asked(home).count("f"), home.billed, len(home.files())) == (1, 1, 3)
    assert (home.state("a", **CHAIN), home.state("b", **CHAIN)) == (State.OUTDATED, State.CURRENT)


@pytest.mark.parametrize("workers", [1, 8])
def test_bought_anew_it_is_bought_once_too(home: Home, workers: int) -> None:
    home.sandbox.change_faults(disabled_models=("m",), latency=0.05)
    home.write("a", "the very same lighthouse", generation={"model": "f"})
    home.write("b", "the very same lighthouse")
    run(home)
    done = run(home, frozenset(State), force=True, max_concurrency=workers)
    assert sorted(outcome.status for outcome in done.outcomes) == ["generated", "reused"]
    assert home.billed == 2


def test_prompts_that_share_a_request_part_where_the_fallback_has_a_seed(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("gpt-image-2",))
    for name in "ab":
        home.write(name, "the very same lighthouse")
    done = run(home, model="gpt-image-2", seed="per-prompt")
    assert len({outcome.request.seed for outcome in done.outcomes}) == 2
    assert (asked(home).count("gpt-image-2"), home.billed) == (1, 2)


def test_caps_and_prices_are_those_of_the_model_that_is_asked(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",))
    home.write_many(6)
    (home.path / "models.toml").write_text('["m"]\nprice = 0.1\n["f"]\nprice = 0.5\n', encoding="utf-8")
    home.defaults.pop("price_per_image")
    done = run(home, fallback_models="f", max_spend_per_run=1.6)
    assert done.stop is not None
    assert (done.stop.by, done.counts["generated"], home.billed) == ("cap", 3, 3)
    assert home.money().spent == pytest.approx(1.5)
    assert done.outcomes[0].cost == 0.5
    assert {info.price for info in home.infos().values()} == {0.5}


# --- failures -----------------------------------------------------------------------------------------


def test_a_prompt_that_the_fallback_refuses_is_failed_for_good_and_not_asked_again_by_itself(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",), refuse=("forbidden",))
    home.write("a", "forbidden")
    failure = run(home).outcome("a").failure
    assert failure is not None
    assert failure.error_class == "refused"
    entry = home.plan(**CHAIN).by_id["json_a"]
    assert entry.state is State.FAILED_FOR_GOOD
    assert entry.purchase is not None
    assert str(entry.purchase.error_message).startswith("f, in place of m: The prompt was rejected")
    assert (run(home, GENERATED_BY_ITSELF).outcomes, asked(home)) == ((), ["m", "f"])
    run(home)
    assert asked(home) == ["m", "f", "m", "f"], "asked again where the user chose failed prompts"


def test_what_a_fallback_was_paid_for_without_a_picture_is_bought_again_only_anew(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",), rate_blank_image=1)
    home.write("a", "a lighthouse")
    run(home)
    assert (home.billed, home.state("a", **CHAIN)) == (1, State.FAILED_FOR_GOOD)
    assert run(home, GENERATED_BY_ITSELF).outcomes == ()
    assert home.billed == 1
    home.sandbox.change_faults(rate_blank_image=0)
    assert run(home).counts["generated"] == 1  # as --failed: the user's word
    assert (home.billed, home.state("a", **CHAIN)) == (2, State.OUTDATED)


def test_a_fallback_that_is_busy_is_a_failure_for_now(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",))
    home.write("a", "a lighthouse")
    run(home)
    home.write("a", "a lighthouse at noon")
    home.sandbox.change_faults(rate_503=1)
    run(home, max_attempts=1)
    assert home.state("a", **CHAIN) is State.FAILED_FOR_NOW
    home.sandbox.change_faults(rate_503=0)
    assert run(home).counts["generated"] == 1


# --- killed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_back", [True, False])
def test_what_a_fallback_was_paid_for_is_fetched_after_a_kill_also_when_the_model_is_back(
    home: Home, is_back: bool
) -> None:
    home.sandbox.change_faults(disabled_models=("m",))
    home.write("a", "a lighthouse")
    home.worker(spec={"die_at": BEFORE_THE_RENAME}, **CHAIN).process.wait()
    assert (home.billed, home.purchase_states()) == (1, ["planned", "ready"])
    if is_back:
        home.sandbox.change_faults(disabled_models=())
    done = run(home, GENERATED_BY_ITSELF)
    assert (models(done.outcomes), home.billed, home.money().billed, asked(home)) == ({"f"}, 1, 1, ["m", "f"])
    assert home.state("a", **CHAIN) is State.OUTDATED


def test_an_outdated_prompts_paid_fallback_is_fetched_though_outdated_ones_are_left_alone(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run(model="earlier")
    home.sandbox.change_faults(disabled_models=("m",), task_seconds=3600)
    changes = {**CHAIN, "fallback_models": "gpt-image-2", "task_timeout": 0.2}
    home.run(**changes)
    home.sandbox.change_faults(task_seconds=0)
    done = home.run(GENERATED_BY_ITSELF, **changes)
    assert (models(done.outcomes), home.billed, asked(home)) == ({"gpt-image-2"}, 2, ["earlier", "m", "gpt-image-2"])


def test_a_request_to_a_fallback_that_another_run_is_making_is_waited_for(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",), latency=1.5)
    home.write("a", "a lighthouse")
    worker = home.worker(**CHAIN)
    wait_until(lambda: home.billed == 1, "the other run's purchase")
    done = run(home)
    assert worker.result()["exit"] == 0
    assert (done.counts["reused"], home.billed) == (1, 1)


# --- what is told of it -------------------------------------------------------------------------------


def test_each_record_names_the_model_that_drew_and_calls_the_picture_outdated(home: Home) -> None:
    home.sandbox.change_faults(disabled_models=("m",))
    home.write("a", "a lighthouse")
    with home.session(**CHAIN) as session:
        plan = session.plan(read_sources(session.settings).prompts)
        log = RunLog(session, plan.entries)
        with log.written(), session.generating(plan.entries) as batch:
            for outcome in batch:
                log.record(outcome)
        after = session.plan(read_sources(session.settings).prompts)
        row = planned_rows(session, after.entries)[0]
    assert log.results_file is not None
    result = json.loads(log.results_file.read_text("utf-8"))["results"][0]
    assert (result["success"], result["state"], result["data"]["model"]) == (True, "outdated", "f")
    assert (row["state"], row["model"], row["success"], row["cost"]) == ("outdated", "f", False, 0.1)


def test_the_fingerprint_of_a_fallbacks_picture_is_never_that_of_the_settings(home: Home) -> None:
    home.write("a", "a lighthouse")
    run(home, model="f")
    own = selection(home, "a").settings_fingerprint
    home.sandbox.change_faults(disabled_models=("m",))
    home.write("b", "a castle")
    run(home)
    fallen_back = selection(home, "b").settings_fingerprint
    run(home, GENERATED_BY_ITSELF, model="f", fallback_models="")
    assert fallen_back not in ("", own)
    assert home.infos()["json_b"].settings_fingerprint == fallen_back
    home.sandbox.change_faults(disabled_models=())
    run(home)
    assert selection(home, "b").settings_fingerprint not in (own, fallen_back)
