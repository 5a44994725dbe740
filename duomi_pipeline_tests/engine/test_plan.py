"""What a run would do, said before anything is sent."""

import json
import time

from duomi_pipeline.engine import GENERATED_BY_ITSELF, State, Status
from duomi_pipeline.engine.plan import requests_to_buy
from duomi_pipeline.settings import ParameterOverrides
from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, Home

MESSY = "**Prompt:** A fox in the snow\n\nNegative prompt: blurry, text"


def test_a_plan_sends_nothing_and_counts_every_state(home: Home) -> None:
    home.sandbox.change_faults(refuse=("forbidden",))
    home.write("x", "forbidden")
    for name in "abc":
        home.write(name, f"a lighthouse {name}")
    home.run()
    home.write("a", "a castle")
    home.files()[1].unlink()
    home.write("d", "a new prompt")
    posts = home.posts
    plan = home.plan()
    assert dict(plan.counts) == {
        State.MISSING: 2,
        State.CHANGED: 1,
        State.OUTDATED: 0,
        State.CURRENT: 1,
        State.FAILED_FOR_GOOD: 1,
        State.FAILED_FOR_NOW: 0,
        State.UNKNOWN: 0,
    }
    assert [entry.prompt.id for entry in plan.entries] == ["json_a", "json_b", "json_c", "json_d", "json_x"]
    assert home.posts == posts


def test_only_the_wanted_states_and_ids_are_in_a_run(home: Home) -> None:
    for name in "ab":
        home.write(name, f"a lighthouse {name}")
    home.run()
    home.write("c", "a castle")
    plan = home.plan(num_inference_steps=30)
    assert [e.prompt.id for e in plan.wanted(GENERATED_BY_ITSELF)] == ["json_c"]
    assert [e.prompt.id for e in plan.wanted({State.OUTDATED})] == ["json_a", "json_b"]
    assert [e.prompt.id for e in plan.wanted(frozenset(State), ["json_b"])] == ["json_b"]


def test_requests_to_buy_are_one_per_request_and_none_for_what_is_paid(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write("paid", "a task that still runs")
    changes = {**ASYNCHRONOUS, "task_timeout": 0.1}
    home.run(**changes)
    for name in "ab":
        home.write(name, "the very same lighthouse")
    plan = home.plan(**changes)
    assert len(requests_to_buy(plan.entries)) == 1
    assert plan.by_id["json_paid"].resumes
    assert [e.prompt.id for e in plan.wanted(())] == ["json_paid"]
    home.sandbox.change_faults(task_seconds=0)
    home.run(**changes)
    home.write("c", "the very same lighthouse")
    assert requests_to_buy(home.plan(**changes).entries) == {}
    assert home.plan(**changes).by_id["json_c"].reusable


def test_an_interrupted_purchase_is_finished_also_where_its_state_is_not_asked_for(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    home.sandbox.change_faults(task_seconds=3600)
    changes = {**ASYNCHRONOUS, "task_timeout": 0.1}
    home.run(**changes)
    assert home.state("a", **changes) is State.OUTDATED
    assert [e.prompt.id for e in home.plan(**changes).wanted(GENERATED_BY_ITSELF)] == ["json_a"]


def test_a_failure_for_now_is_due_some_time_later(home: Home) -> None:
    home.sandbox.change_faults(rate_503=1)
    home.write("a", "a lighthouse")
    home.run(max_attempts=1)
    entry = home.plan().by_id["json_a"]
    assert not entry.is_due(time.time())
    assert entry.is_due(time.time() + 3600)


def test_parameters_of_the_run_lie_between_the_prompts_own_and_the_settings(home: Home) -> None:
    home.write("a", "a lighthouse", generation={"seed": 5})
    home.write("b", "a lighthouse")
    run = home.run(parameters=ParameterOverrides(seed=7, num_inference_steps=30))
    assert [o.seed for o in sorted(run.outcomes, key=lambda o: o.prompt.id)] == [5, 7]
    assert {o.request.body["num_inference_steps"] for o in run.outcomes} == {30}
    assert home.state("b") is State.OUTDATED


def test_prompts_are_sent_as_they_are_unless_cleaning_is_on(home: Home) -> None:
    home.write("a", MESSY)
    home.run()
    assert home.sandbox.books.posts()[0].prompt == MESSY


def test_the_cleaned_text_is_sent_kept_in_the_picture_and_part_of_the_key(home: Home) -> None:
    home.write("a", MESSY, negative_prompt="hounds")
    home.write("b", "A fox in the snow", negative_prompt="hounds, blurry, text")
    source = (home.path / "out" / "prompt_json" / "a.json").read_bytes()
    run = home.run(clean_prompts=True)
    (post,) = home.sandbox.books.posts()
    body = json.loads(post.body)
    assert (body["prompt"], body["negative_prompt"]) == ("A fox in the snow", "hounds, blurry, text")
    assert [outcome.status for outcome in run.outcomes].count(Status.REUSED) == 1, "the very same request is paid once"
    assert home.infos()["json_a"].prompt == "A fox in the snow"
    assert (home.path / "out" / "prompt_json" / "a.json").read_bytes() == source
    assert run.outcome("a").prompt.text == MESSY


def test_cleaning_outdates_the_pictures_of_messy_prompts_and_changes_none(home: Home) -> None:
    home.write("a", MESSY)
    home.write("b", "A healthy fox")
    home.run()
    plan = home.plan(clean_prompts=True)
    assert {entry.prompt.id: entry.state for entry in plan.entries} == {
        "json_a": State.OUTDATED,
        "json_b": State.CURRENT,
    }
    assert plan.wanted(GENERATED_BY_ITSELF) == []
    home.run(clean_prompts=True)
    assert home.state("a", clean_prompts=True) is State.CURRENT
    assert home.plan().by_id["json_a"].reusable, "switched off again: nothing is bought"


def test_a_negative_prompt_in_the_text_wins_over_the_settings_as_the_prompts_own_does(home: Home) -> None:
    home.write("a", MESSY)
    home.write("b", MESSY, negative_prompt="context, blurry")
    bodies = [e.request.body for e in home.plan(clean_prompts=True, negative_prompt="of the settings").entries]
    assert [body["negative_prompt"] for body in bodies] == ["blurry, text", "context, blurry, text"]


def test_a_model_without_a_field_for_it_gets_the_negative_prompt_in_the_text(home: Home) -> None:
    home.write("a", MESSY, generation={"model": "gpt-image-2"})
    request = home.plan(clean_prompts=True).by_id["json_a"].request
    assert request.prompt == "A fox in the snow\n\nNegative prompt: blurry, text"
    assert "negative_prompt" not in request.body


def test_a_prompt_of_which_nothing_would_be_left_is_sent_as_it_is(home: Home) -> None:
    home.write("a", "Negative prompt: blurry")
    request = home.plan(clean_prompts=True).by_id["json_a"].request
    assert request.key == home.plan().by_id["json_a"].request.key
