"""Two runs where host names, process ids and clocks deceive: no picture is bought twice, none waits for a dead run."""

from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, Home, wait_until
from duomi_pipeline_tests.processes import IN_A_PID_NAMESPACE, can_have_pid_namespaces

A_HANDFUL = 4  # requests; as many go out at once
needs_namespaces = pytest.mark.skipif(not can_have_pid_namespaces(), reason="no pid namespaces for this user here")
ELSEWHERE = [
    pytest.param({"spec": {"host": "other", "ahead": 600.0}}, id="ten minutes ahead"),
    pytest.param({"spec": {"host": "other", "ahead": -600.0}}, id="ten minutes behind"),
    pytest.param({"prefix": IN_A_PID_NAMESPACE}, id="a container with the same name", marks=needs_namespaces),
]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_a_run_that_begins_elsewhere_does_not_buy_what_is_on_the_wire_here(
    home: Home, tmp_path: Path, elsewhere: dict[str, Any]
) -> None:
    _second_begins_while_the_first_waits_for_its_answers(home, tmp_path / "go", {}, elsewhere)


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_a_run_that_begins_here_does_not_buy_what_is_on_the_wire_elsewhere(
    home: Home, tmp_path: Path, elsewhere: dict[str, Any]
) -> None:
    _second_begins_while_the_first_waits_for_its_answers(home, tmp_path / "go", elsewhere, {})


def _second_begins_while_the_first_waits_for_its_answers(
    home: Home, gate: Path, first: dict[str, Any], second: dict[str, Any]
) -> None:
    home.sandbox.change_faults(latency=1.5)
    home.write_many(A_HANDFUL)
    waiting = home.worker(second.get("prefix", ()), {**second.get("spec", {}), "wait_for": str(gate)}).planned()
    buying = home.worker(first.get("prefix", ()), first.get("spec"))
    wait_until(lambda: home.posts == A_HANDFUL, "all requests to be on the wire")
    gate.touch()
    assert [buying.result()["exit"], waiting.result()["exit"]] == [0, 0]
    assert (home.posts, home.billed, len(home.infos())) == (A_HANDFUL, A_HANDFUL, A_HANDFUL)
    assert home.money().maybe_billed == 0


@needs_namespaces
def test_a_container_that_is_started_again_goes_on_at_once_with_what_its_first_life_paid(home: Home) -> None:
    """Its name and its process id are those of before."""
    home.sandbox.change_faults(task_seconds=3600)
    home.write_many(A_HANDFUL)
    first = home.worker(IN_A_PID_NAMESPACE, **ASYNCHRONOUS)
    wait_until(lambda: home.billed == A_HANDFUL, "all tasks to be submitted")
    wait_until(lambda: home.purchase_states() == ["submitted"] * A_HANDFUL, "all task ids to be recorded")
    first.kill()
    home.sandbox.change_faults(task_seconds=0)
    assert home.worker(IN_A_PID_NAMESPACE, **ASYNCHRONOUS).result()["exit"] == 0
    assert (home.posts, home.billed, len(home.infos())) == (A_HANDFUL, A_HANDFUL, A_HANDFUL)


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_what_a_living_run_is_writing_is_swept_by_nobody_and_what_a_dead_one_left_by_the_next(
    home: Home, elsewhere: dict[str, Any]
) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write("slow", "a lighthouse")
    working = home.worker(spec={"run_id": "theirs"}, **ASYNCHRONOUS)
    wait_until(lambda: home.billed == 1, "its task to run")
    draft = home.images / ".duomi-theirs-0123.tmp"
    draft.write_bytes(b"half of a picture")
    sweep = {"prefix": elsewhere.get("prefix", ()), "spec": {**elsewhere.get("spec", {}), "ids": []}}

    assert home.worker(**sweep).result()["exit"] == 0
    assert draft.exists()
    working.kill()
    assert home.worker(**sweep).result()["exit"] == 0
    assert not draft.exists()
