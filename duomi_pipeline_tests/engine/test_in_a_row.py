"""Failures that cost something are counted over the runs of an hour: many small runs stop like one large run."""

from typing import Any

import pytest

from duomi_pipeline.engine import GENERATED_BY_ITSELF
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.sandbox.plays import Play
from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, Home, Run

AN_HOUR = 3_700.0  # seconds, and a little: of what happened before, nothing counts any more
CUT_OFF: dict[str, Any] = {"rate_truncated_answer": 1}
NOT_UNDERSTOOD: dict[str, Any] = {"plays": (Play(status=200, billed=True, body='{"artwork": "somewhere"}'),)}
EMPTY_TASKS: dict[str, Any] = {"task_empty": ("number",)}
HEALED: dict[str, Any] = {"rate_truncated_answer": 0, "plays": (), "task_empty": ()}


def run_two_more(home: Home, number: int, **settings: Any) -> Run:
    """A run after two more prompts have come, which tries what is new or was left."""
    for name in "ab":
        home.write(f"{name}{number}", f"A harbour at dawn, boat number {number}{name}")
    return home.run(GENERATED_BY_ITSELF, max_concurrency=1, **settings)


@pytest.mark.parametrize(
    ("faults", "settings", "limit"), [(CUT_OFF, {}, 6), (NOT_UNDERSTOOD, {}, 3), (EMPTY_TASKS, ASYNCHRONOUS, 6)]
)
def test_small_runs_stop_after_as_many_failures_that_cost_as_a_large_one(
    home: Home, faults: dict[str, Any], settings: dict[str, Any], limit: int
) -> None:
    home.sandbox.change_faults(**faults)
    runs = 0
    while (run := run_two_more(home, runs, **settings)).stop is None:
        runs += 1
        assert runs < 10, "nothing stops them"
    assert "failed the same way" in run.stop.message
    assert (home.posts, home.billed) == (limit, limit)

    # Each further start asks once, to see whether the service works again.
    again = run_two_more(home, 10, **settings)
    assert again.stop is not None
    assert "earlier runs included" in again.stop.message
    assert home.posts == limit + 1

    home.sandbox.change_faults(**HEALED)
    run = run_two_more(home, 11, **settings)
    assert (run.stop, run.remaining) == (None, ())
    assert run.counts["generated"] >= 3


def test_after_a_picture_or_an_hour_the_count_begins_anew(home: Home) -> None:
    home.sandbox.change_faults(**CUT_OFF)
    assert run_two_more(home, 0).stop is None
    home.sandbox.change_faults(**HEALED)
    assert run_two_more(home, 1).stop is None
    posts = home.posts
    home.sandbox.change_faults(**CUT_OFF)
    assert run_two_more(home, 2).stop is None  # four requests; with those before the picture it were eight
    assert home.posts == posts + 4

    home.age_ledger(AN_HOUR)
    posts = home.posts
    assert run_two_more(home, 3).stop is None
    assert home.posts == posts + 4


def test_failures_at_another_service_say_nothing_of_this_one(home: Home) -> None:
    home.sandbox.change_faults(**CUT_OFF)
    run_two_more(home, 0)
    assert run_two_more(home, 1).stop is not None
    posts = home.posts
    run_two_more(home, 2, base_url=home.sandbox.url.replace("127.0.0.1", "localhost"))
    assert home.posts == posts + 6


def test_paid_pictures_are_fetched_however_often_their_host_failed(home: Home) -> None:
    home.sandbox.change_faults(deny_downloads=(".",), deny_download_status=503)
    home.write_many(20)
    stopped = home.run(GENERATED_BY_ITSELF, max_concurrency=1)
    assert stopped.stop is not None
    home.sandbox.change_faults(deny_downloads=())
    run = home.run(GENERATED_BY_ITSELF, max_concurrency=1)
    assert (run.stop, run.counts["failed"], run.counts["remaining"]) == (None, 0, 0)
    assert (home.posts, home.billed) == (20, 20)


def test_what_was_paid_before_is_fetched_although_others_of_it_brought_no_picture(home: Home) -> None:
    home.sandbox.change_faults(task_endless=("boat",))
    for number in range(10):
        home.write(f"p{number}", f"A quiet harbour at dawn, boat number {number}")
    home.run(GENERATED_BY_ITSELF, task_timeout=0.3, **ASYNCHRONOUS)
    assert home.purchase_states() == ["submitted"] * 10
    home.sql("UPDATE purchases SET updated_at = 0 WHERE request LIKE '%number 0%'")  # looked at first

    home.sandbox.change_faults(task_empty=("forest",))
    for number in range(3):
        home.write(f"f{number}", f"A forest in fog, {number}")
    with home.session(max_concurrency=1, **ASYNCHRONOUS) as session:
        plan = session.plan(read_sources(session.settings).prompts)
        new = [entry for entry in plan.wanted(GENERATED_BY_ITSELF) if entry.purchase is None]
        with session.generating(new) as batch:
            list(batch)
    assert batch.stop_reason is not None

    home.sandbox.change_faults(task_endless=(), task_empty=("number 0", "forest"))
    home.run(GENERATED_BY_ITSELF, max_concurrency=1, **ASYNCHRONOUS)
    assert len(home.files()) == 9


def test_what_a_clock_ahead_wrote_is_not_counted_once_it_is_set_back(home: Home) -> None:
    home.sandbox.change_faults(**CUT_OFF)
    run_two_more(home, 0)
    home.age_ledger(-30 * 24 * AN_HOUR)
    home.sandbox.change_faults(**HEALED)
    run_two_more(home, 1)
    home.sandbox.change_faults(**CUT_OFF)
    assert run_two_more(home, 2).stop is None
