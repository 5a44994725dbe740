"""Killed, interrupted, started twice: what was paid is never paid again. The sandbox's own books are the witness."""

import contextlib
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline_tests.engine.home import (
    ASYNCHRONOUS,
    BEFORE_THE_DOWNLOAD,
    BEFORE_THE_RENAME,
    BETWEEN_FILE_AND_RECORD,
    Home,
    Worker,
    wait_until,
    without_root_rights,
)

A_HANDFUL = 5  # requests; as many go out at once, more wait for the first


def finish(home: Home, **changes: Any) -> None:
    """The next run, by which every prompt gets its picture."""
    run = home.run(**changes)
    assert (run.failures, run.remaining, run.stop) == ({}, (), None)
    assert set(home.plan(**changes).counts.values()) == {0, len(home.infos())}


@pytest.mark.parametrize("step", [BEFORE_THE_DOWNLOAD, BEFORE_THE_RENAME, BETWEEN_FILE_AND_RECORD])
@pytest.mark.parametrize("protocol", ["siliconflow", "duomi_async"])
def test_a_run_killed_after_the_answer_is_continued_without_a_second_purchase(
    home: Home, step: tuple[str, int], protocol: str
) -> None:
    home.write_many(3)
    worker = home.worker(spec={"die_at": step}, protocol=protocol, max_concurrency=1)
    assert worker.result()["exit"] == -9
    assert home.billed == 1
    finish(home, protocol=protocol)
    assert (home.posts, home.billed) == (3, 3)
    assert (home.money().billed, home.money().maybe_billed) == (3, 0)
    assert len(list(home.images.glob("*.png"))) == 3


def test_a_picture_that_came_in_the_answer_and_was_on_disk_at_the_kill_is_adopted(home: Home) -> None:
    home.sandbox.change_faults(answer="b64")
    home.write("a", "a lighthouse")
    assert home.worker(spec={"die_at": BETWEEN_FILE_AND_RECORD}).result()["exit"] == -9
    finish(home)
    assert (home.posts, len(list(home.images.glob("*.png")))) == (1, 1)


def test_a_picture_that_was_adopted_was_billed_for_sure(home: Home) -> None:
    home.sandbox.change_faults(answer="b64")
    home.write("a", "a lighthouse")
    assert home.worker(spec={"die_at": BETWEEN_FILE_AND_RECORD}).result()["exit"] == -9
    finish(home)
    assert (home.money().billed, home.money().maybe_billed) == (1, 0)


def test_an_adopted_picture_says_nothing_of_an_answer_that_was_lost_before_its_own_came(home: Home) -> None:
    home.sandbox.change_faults(rate_hang=1)
    home.write("a", "a lighthouse")
    worker = home.worker(timeout=60)
    wait_until(lambda: home.billed == 1, "the first request to be on the wire")
    worker.kill()
    home.sandbox.change_faults(rate_hang=0)
    assert home.worker(spec={"die_at": BETWEEN_FILE_AND_RECORD}).result()["exit"] == -9
    finish(home)
    assert (home.money().billed, home.money().maybe_billed) == (1, 1)


def test_a_kill_leaves_nothing_behind_in_the_folder_once_the_next_run_is_done(home: Home) -> None:
    home.write("a", "a lighthouse")
    assert home.worker(spec={"die_at": BEFORE_THE_RENAME}).result()["exit"] == -9
    finish(home)
    assert [file.suffix for file in home.files()] == [".png"]


def test_tasks_that_ran_when_the_process_was_killed_are_polled_not_submitted_again(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write_many(A_HANDFUL)
    worker = home.worker(**ASYNCHRONOUS)
    wait_until(lambda: home.billed == A_HANDFUL, "all tasks to be submitted")
    wait_until(lambda: home.purchase_states() == ["submitted"] * A_HANDFUL, "all task ids to be recorded")
    worker.kill()
    home.sandbox.change_faults(task_seconds=0)
    finish(home, **ASYNCHRONOUS)
    assert (home.posts, home.billed) == (A_HANDFUL, A_HANDFUL)


@pytest.mark.parametrize(("retries", "posts", "generated"), [(0, 1, 0), (1, 2, 1)])
def test_a_post_on_the_wire_at_the_kill_is_ambiguous_and_repeated_only_as_often_as_allowed(
    home: Home, retries: int, posts: int, generated: int
) -> None:
    home.sandbox.change_faults(rate_hang=1)
    home.write("a", "a lighthouse")
    worker = home.worker(timeout=60)
    wait_until(lambda: home.billed == 1, "the service to have billed")
    worker.kill()
    home.sandbox.change_faults(rate_hang=0)
    run = home.run(ambiguous_retries=retries)
    assert (home.posts, run.counts["generated"]) == (posts, generated)
    assert home.money().maybe_billed == 1
    assert [o.failure.error_class for o in run.outcomes if o.failure] == ["ambiguous"] * (1 - generated)


def test_killed_again_and_again_every_prompt_is_billed_once_but_for_posts_on_the_wire(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=0.1, rate_poll_error=0.2, early_404_seconds=0.05, rate_empty_success=0.3)
    home.write_many(24)
    for reached in (5, 10, 15):
        worker = home.worker(max_concurrency=4, ambiguous_retries=3, **ASYNCHRONOUS)
        wait_until(partial(_has_billed, home, reached), f"{reached} pictures to be billed")
        worker.kill()
    finish(home, ambiguous_retries=3, **ASYNCHRONOUS)  # a POST may be on the wire at each of the kills
    assert 24 <= home.billed <= 24 + home.money().maybe_billed
    assert len(home.infos()) == 24
    assert home.money().billed + home.money().maybe_billed >= home.billed


def _has_billed(home: Home, pictures: int) -> bool:
    return home.billed >= pictures


def _two_at_once(home: Home, gate: Path, **settings: Any) -> list[dict[str, Any]]:
    """What two processes did that began together, once both had looked at the prompts."""
    workers = [home.worker(spec={"wait_for": str(gate)}, **settings).planned() for _ in range(2)]
    gate.touch()
    return [worker.result() for worker in workers]


def test_two_processes_started_at_once_on_the_same_prompts_buy_each_picture_once(home: Home, tmp_path: Path) -> None:
    home.sandbox.change_faults(latency=0.05)
    home.write_many(20)
    results = _two_at_once(home, tmp_path / "go", max_concurrency=4)
    assert [result["exit"] for result in results] == [0, 0], results
    assert sum(result["counts"]["generated"] for result in results) == 20
    assert sum(result["counts"]["reused"] for result in results) == 20
    assert (home.posts, home.billed, len(home.files())) == (20, 20, 20)


def test_two_processes_together_never_pass_the_spend_of_a_day(home: Home, tmp_path: Path) -> None:
    home.sandbox.change_faults(latency=0.02)
    home.write_many(30)
    results = _two_at_once(home, tmp_path / "go", max_spend_per_day=1.0)
    assert [result["exit"] for result in results] == [4, 4], results
    assert "DUOMI_MAX_SPEND_PER_DAY" in results[0]["stop"]
    assert (home.posts, home.billed, len(home.files())) == (10, 10, 10)
    assert len([e for e in home.plan().entries if e.state == "missing"]) == 20


def test_ctrl_c_sends_nothing_more_and_finishes_what_is_in_flight(home: Home) -> None:
    home.sandbox.change_faults(latency=0.5)
    home.write_many(A_HANDFUL)
    worker = home.worker(max_concurrency=2)
    wait_until(lambda: home.posts == 2, "two requests to be in flight")
    worker.interrupt()
    result = worker.result()
    assert result["exit"] == 130
    assert result["counts"] == {"generated": 2, "reused": 0, "failed": 0, "remaining": A_HANDFUL - 2}
    assert (home.posts, len(home.infos())) == (2, 2)
    home.sandbox.change_faults(latency=0)
    finish(home)
    assert home.billed == A_HANDFUL


def test_a_second_ctrl_c_leaves_at_once_and_the_tasks_are_not_lost(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write_many(4)
    worker = home.worker(**ASYNCHRONOUS)
    wait_until(lambda: home.billed == 4 and home.purchase_states() == ["submitted"] * 4, "four tasks to run")
    press_ctrl_c_until_it_leaves(worker)
    assert worker.result()["exit"] == 130
    home.sandbox.change_faults(task_seconds=0)
    finish(home, **ASYNCHRONOUS)
    assert home.billed == 4


def test_ctrl_c_leaves_also_a_run_that_a_cap_has_stopped_already(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write_many(4)
    worker = home.worker(max_concurrency=2, max_images_per_run=1, **ASYNCHRONOUS)
    wait_until(lambda: home.sandbox.books.totals().polls > 2, "the task to be waited for")
    press_ctrl_c_until_it_leaves(worker)
    left = worker.process.poll()
    worker.kill()
    assert left == 130


def test_a_run_in_the_background_ignores_ctrl_c_as_its_shell_says(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write_many(2)
    in_the_background = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
    worker = home.worker(in_the_background, max_concurrency=1, **ASYNCHRONOUS)
    wait_until(lambda: home.billed == 1, "the first task to run")
    worker.interrupt()
    polls = home.sandbox.books.totals().polls
    wait_until(lambda: home.sandbox.books.totals().polls > polls + 4, "the task to be waited for all the same")
    home.sandbox.change_faults(task_seconds=0)
    result = worker.result()
    assert (result["exit"], result["counts"]["generated"]) == (0, 2)


def press_ctrl_c_until_it_leaves(worker: Worker) -> None:
    """As a person would: again every now and then, but not for ever."""
    deadline = time.monotonic() + 2
    while worker.process.poll() is None and time.monotonic() < deadline:
        worker.interrupt()
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(timeout=0.2)


@pytest.mark.parametrize("protocol", ["siliconflow", "duomi_async"])
def test_a_disk_that_takes_no_more_stops_the_run_clearly_and_the_next_one_downloads(home: Home, protocol: str) -> None:
    home.sandbox.change_faults(picture="photo")
    home.write_many(4)
    changes: dict[str, Any] = {"image_size": "720x1280", "max_concurrency": 2, "protocol": protocol}
    result = home.worker(spec={"max_file_bytes": 600_000}, **changes).result()
    assert result["exit"] == 5, result
    assert "No picture can be downloaded: " in result["stop"]
    assert home.files() == []
    assert home.posts <= 2
    finish(home, **changes)
    assert (home.posts, home.billed) == (4, 4)


def test_a_folder_that_cannot_be_written_stops_the_run_clearly_and_the_next_one_downloads(home: Home) -> None:
    prefix = without_root_rights()
    if prefix == ["no setpriv"]:
        pytest.skip("root writes everywhere; setpriv is needed to give that up")
    home.write_many(4)
    home.images.mkdir(parents=True)
    home.images.chmod(0o555)
    result = home.worker(prefix, max_concurrency=2).result()
    home.images.chmod(0o755)
    assert result["exit"] == 5, result
    assert "permission" in result["stop"]
    assert home.posts <= 2
    finish(home)
    assert (home.posts, home.billed) == (4, 4)
