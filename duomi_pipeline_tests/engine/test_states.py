"""The table of states, row by row; then the states of a prompt that lives through edits, deletions and failures."""

from collections.abc import Callable
from typing import Any

import pytest

from duomi_pipeline.engine import GENERATED_BY_ITSELF, NOT_CURRENT, State
from duomi_pipeline.engine.states import decide
from duomi_pipeline.images import Listing
from duomi_pipeline.ledger import Origin, PictureFile, Purchase, Selection
from duomi_pipeline.prompts import Prompt
from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, Home

PROMPT = Prompt("json_a", "a lighthouse", "json", "a.json", "a")
WHOLE = {"a.png": 100}
CUT, GONE = {"a.png": 50}, dict[str, int]()


def selected(key: str = "now", version: str = PROMPT.version, *, files: int = 1) -> Selection:
    """Pictures made of the request `key` from this version of the prompt."""
    pictures = (PictureFile("json_a", 1, 0, "a.png", 100, "72x128", "72x128", Origin.GENERATED, 0.0),) * files
    return Selection("json_a", 1, key, version, "settings", 0.0, pictures)


def chain(state: str, error_class: str | None = None) -> Purchase:
    """The latest chain of the request of now."""
    return Purchase(1, "now", "{}", state, 0.0, 0.0, error_class=error_class)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("selection", "purchase", "sizes", "state"),
    [
        (None, None, GONE, State.MISSING),
        (selected(), chain("saved"), GONE, State.MISSING),
        (selected(), chain("saved"), CUT, State.MISSING),
        (selected(files=0), chain("saved"), WHOLE, State.MISSING),
        (selected("before", "v0"), None, GONE, State.MISSING),
        (selected("before", "v0"), None, WHOLE, State.CHANGED),
        (selected("before"), None, WHOLE, State.OUTDATED),
        (selected(), chain("saved"), WHOLE, State.CURRENT),
        (selected(), None, WHOLE, State.CURRENT),
        (selected(version="v0"), chain("saved"), WHOLE, State.CURRENT),
        (selected(), chain("failed"), WHOLE, State.CURRENT),
        (selected(), chain("refused"), WHOLE, State.CURRENT),
        (None, chain("refused", "refused"), GONE, State.FAILED_FOR_GOOD),
        (selected("before", "v0"), chain("refused", "refused"), WHOLE, State.FAILED_FOR_GOOD),
        (None, chain("failed", "ambiguous"), GONE, State.FAILED_FOR_GOOD),
        (None, chain("failed", "busy"), GONE, State.FAILED_FOR_NOW),
        (selected("before", "v0"), chain("failed", "rate"), WHOLE, State.FAILED_FOR_NOW),
        *((None, chain(name), GONE, State.MISSING) for name in ("planned", "submitting", "submitted", "ready")),
    ],
)
def test_the_table_of_states(
    selection: Selection | None, purchase: Purchase | None, sizes: dict[str, int], state: State
) -> None:
    assert decide(PROMPT, "now", selection, purchase, Listing(sizes)) is state


def test_what_is_generated_without_being_asked_for_costs_no_more_than_was_wanted() -> None:
    assert {State.MISSING, State.CHANGED} == GENERATED_BY_ITSELF
    assert set(State) - {State.CURRENT, State.UNKNOWN} == NOT_CURRENT


# --- one prompt's life --------------------------------------------------------------------------------


@pytest.fixture
def made(home: Home) -> Home:
    """A home with one prompt and its picture."""
    home.write("a", "a lighthouse", generation={"guidance_scale": 7})
    home.run()
    assert home.state("a") is State.CURRENT
    return home


def _cut(home: Home) -> None:
    file = home.files()[0]
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("happens", "state"),
    [
        (lambda home: home.files()[0].unlink(), State.MISSING),
        (_cut, State.MISSING),
        (lambda home: home.write("a", "a castle", generation={"guidance_scale": 7}), State.CHANGED),
        (lambda home: home.write("a", "a lighthouse", generation={"guidance_scale": 8}), State.CHANGED),
        (lambda home: home.write("a", "a lighthouse", negative_prompt="people"), State.CHANGED),
        (lambda home: home.defaults.update(model="black-forest-labs/FLUX.1-dev"), State.OUTDATED),
        (lambda home: home.defaults.update(num_inference_steps=30), State.OUTDATED),
        (lambda home: home.defaults.update(image_size="128x72"), State.OUTDATED),
        (lambda home: home.defaults.update(seed=1), State.OUTDATED),
    ],
    ids=["deleted", "cut", "text", "override", "negative prompt", "model", "steps", "size", "seed"],
)
def test_what_happens_to_a_prompt_decides_its_state_and_one_request_brings_it_back(
    made: Home, happens: Callable[[Home], object], state: State
) -> None:
    happens(made)
    assert made.state("a") is state
    assert made.run().counts["generated"] == 1
    assert (made.state("a"), made.posts, made.billed) == (State.CURRENT, 2, 2)


@pytest.mark.parametrize(
    "happens",
    [
        lambda home: home.write("a", "a lighthouse", generation={"guidance_scale": 7}, video_prompt="pan left"),
        lambda home: home.defaults.update(guidance_scale=9.0),  # the prompt has its own
        lambda home: home.defaults.update(max_concurrency=2, delay=0.01, timeout=5.0, price_per_image=9.0),
    ],
    ids=["video prompt", "overridden setting", "not part of the picture"],
)
def test_what_is_not_part_of_the_picture_changes_nothing(made: Home, happens: Callable[[Home], object]) -> None:
    happens(made)
    assert made.state("a") is State.CURRENT
    assert made.run().outcomes == ()


def test_pictures_of_another_host_are_outdated(made: Home) -> None:
    assert made.state("a", base_url="https://duomiapi.com", api_key="k") is State.OUTDATED


@pytest.mark.parametrize("change", ["text", "settings"])
def test_there_and_back_again_reuses_the_first_picture(made: Home, change: str) -> None:
    first = made.files()[0].name
    if change == "text":
        made.write("a", "a castle")
        made.run()
        made.write("a", "a lighthouse", generation={"guidance_scale": 7})
    else:
        made.run(num_inference_steps=30)
    assert made.state("a") is (State.CHANGED if change == "text" else State.OUTDATED)
    outcome = made.run().outcome("a")
    assert (outcome.status, outcome.attempts, outcome.files[0].file) == ("reused", 0, first)
    assert (made.state("a"), made.posts, len(made.files())) == (State.CURRENT, 2, 2)


@pytest.mark.parametrize(
    ("faults", "changes", "state"),
    [
        ({"refuse": ("lighthouse",)}, {}, State.FAILED_FOR_GOOD),
        ({"refuse": ("lighthouse",)}, ASYNCHRONOUS, State.FAILED_FOR_GOOD),
        ({"task_fails": ("lighthouse",)}, ASYNCHRONOUS, State.FAILED_FOR_GOOD),
        ({"rate_503": 1}, {"max_attempts": 1}, State.FAILED_FOR_NOW),
        ({"rate_reset_after": 1}, {"ambiguous_retries": 0}, State.FAILED_FOR_GOOD),
    ],
)
def test_a_failure_is_for_good_or_for_now_until_the_request_changes_or_somebody_asks(
    home: Home, faults: dict[str, Any], changes: dict[str, Any], state: State
) -> None:
    home.sandbox.change_faults(**faults)
    home.write("a", "a lighthouse")
    home.run(**changes)
    assert home.state("a", **changes) is state
    assert home.run(states=GENERATED_BY_ITSELF, **changes).outcomes == ()
    home.sandbox.change_faults(**{name: () if name in ("refuse", "task_fails") else 0 for name in faults})
    assert home.run(states={state}, **changes).counts["generated"] == 1
    assert home.state("a", **changes) is State.CURRENT


def test_a_refused_prompt_is_free_to_try_again_once_its_text_changes(home: Home) -> None:
    home.sandbox.change_faults(refuse=("lighthouse",))
    home.write("a", "a lighthouse")
    home.run()
    home.write("a", "a castle")
    assert home.state("a") is State.MISSING
    assert home.run(states=GENERATED_BY_ITSELF).counts["generated"] == 1
