"""A ledger that takes no write, that is deleted or replaced while paid answers arrive, or that is damaged at the start."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.engine import GENERATED_BY_ITSELF
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, Home, Run, wait_until

SEVERAL = 5
Answers = dict[str, Any]
ANSWERS: dict[str, tuple[Answers, Answers]] = {
    "sync_url": ({"answer": "url"}, {}),
    "sync_relative": ({"answer": "relative_url"}, {}),
    "sync_inline": ({"answer": "b64"}, {}),
    "async": ({"task_seconds": 0.2}, ASYNCHRONOUS),
}


@pytest.fixture(params=ANSWERS)
def protocol(request: pytest.FixtureRequest, sandbox: SandboxServer) -> Answers:
    """How the service answers, with time between a bill and its answer; the settings for it."""
    faults, settings = ANSWERS[request.param]
    sandbox.change_faults(latency=0.4, **faults)
    return dict(settings)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a locked ledger up after a fraction of a second."""
    monkeypatch.setattr("duomi_pipeline.engine.ledger_retry.PATIENCE", 0.2)
    monkeypatch.setattr("duomi_pipeline.ledger.database.LOCK_WAIT", 0.1)


@contextmanager
def browser_of_databases(home: Home) -> Iterator[None]:
    """Somebody else's program that has begun to write and does not end."""
    with closing(sqlite3.connect(ledger_of(home), timeout=30, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


def ledger_of(home: Home) -> Path:
    return home.path / "out" / "ledger.db"


def run_and(home: Home, billed: int, then: Callable[[], object], **settings: Any) -> Run:
    """A run in whose middle, with so many pictures billed and their answers under way, something happens."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(home.run, GENERATED_BY_ITSELF, **settings)
        wait_until(lambda: home.billed == billed, "the bills")
        then()
        return running.result()


def sell_one(home: Home, **settings: Any) -> None:
    """A picture just sold: the next ones need no canary, and come all at once."""
    home.write("first", "a lighthouse")
    assert home.run(GENERATED_BY_ITSELF, **settings).counts["generated"] == 1


def all_is_well(home: Home, pictures: int, **settings: Any) -> None:
    """The next start brings all pictures without a further POST, and the books agree."""
    posts = home.posts
    run = home.run(GENERATED_BY_ITSELF, **settings)
    assert (run.stop, run.failures) == (None, {})
    assert home.posts == posts
    assert len(home.infos()) == len(home.files()) == pictures
    assert (home.money().billed, home.money().maybe_billed, home.billed) == (pictures, 0, pictures)
    assert home.money().spent == pytest.approx(0.1 * pictures)
    with home.session() as session:
        assert session.kept.all() == []
    assert home.run(GENERATED_BY_ITSELF, **settings).outcomes == ()


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_the_locked_ledger_does_not_take_is_read_back_by_the_next_start(
    home: Home, protocol: Answers
) -> None:
    home.write_many(1)
    lock = browser_of_databases(home)
    run = run_and(home, 1, lock.__enter__, **protocol)
    assert run.stop is not None
    assert run.stop.by == "store"
    lock.__exit__(None, None, None)
    all_is_well(home, 1, **protocol)


def test_a_kill_while_the_ledger_is_locked_loses_nothing(home: Home, protocol: Answers) -> None:
    home.write_many(1)
    worker = home.worker(**protocol).planned()
    wait_until(lambda: home.billed == 1, "the bill")
    with browser_of_databases(home):
        wait_until(lambda: list(home.path.glob("out/kept_answers/*.about")), "the answer in its second place")
        worker.kill()
    all_is_well(home, 1, **protocol)


def test_a_ledger_that_is_let_go_of_in_time_takes_the_answer_and_nothing_stays_kept(
    home: Home, protocol: Answers
) -> None:
    home.write_many(1)
    lock = browser_of_databases(home)

    def hold_until_kept() -> None:
        lock.__enter__()
        wait_until(lambda: list(home.path.glob("out/kept_answers/*.about")), "the answer in its second place")
        lock.__exit__(None, None, None)

    assert run_and(home, 1, hold_until_kept, **protocol).counts["generated"] == 1
    all_is_well(home, 1, **protocol)


def delete(home: Home) -> None:
    for file in ledger_of(home).parent.glob("ledger.db*"):
        file.unlink()


def replace_with_another(home: Home) -> None:
    other = home.path / "other.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("VACUUM")
    other.replace(ledger_of(home))


@pytest.mark.parametrize("harm", [delete, replace_with_another])
def test_a_ledger_that_goes_away_under_a_run_is_noticed_and_no_answer_is_lost(
    home: Home, protocol: Answers, harm: Callable[[Home], None]
) -> None:
    sell_one(home, **protocol)
    home.write_many(SEVERAL + 10)
    run = run_and(home, 1 + SEVERAL, lambda: harm(home), max_concurrency=SEVERAL, **protocol)
    assert run.stop is not None
    assert run.stop.by == "lost"
    assert "ledger.db was deleted, moved or replaced while it was in use. Nothing more is sent." in run.stop.message
    assert home.posts == home.billed == 1 + SEVERAL
    posts = home.posts
    home.run(GENERATED_BY_ITSELF, max_images=0, **protocol)
    assert home.posts == posts
    assert len(home.infos()) == len(home.files()) == 1 + SEVERAL
    assert (home.money().billed, home.money().maybe_billed) == (1 + SEVERAL, 0), "the first one's file tells its price"
    assert home.money().spent == pytest.approx(0.1 * (1 + SEVERAL))
    with home.session() as session:
        assert session.kept.all() == []


def test_a_backup_that_is_restored_under_a_run_loses_no_answer(home: Home, protocol: Answers) -> None:
    sell_one(home, **protocol)
    backup = Path(shutil.copy(ledger_of(home), home.path / "backup.db"))
    home.write_many(SEVERAL)
    run = run_and(home, 1 + SEVERAL, lambda: backup.replace(ledger_of(home)), **protocol)
    assert run.stop is not None
    assert run.stop.by == "lost"
    all_is_well(home, 1 + SEVERAL, **protocol)


def test_a_ledger_that_is_emptied_in_place_under_a_run_is_noticed(home: Home, protocol: Answers) -> None:
    sell_one(home, **protocol)
    home.write_many(SEVERAL + 10)
    run = run_and(home, 1 + SEVERAL, lambda: os.truncate(ledger_of(home), 0), max_concurrency=SEVERAL, **protocol)
    assert run.stop is not None
    assert run.stop.by == "lost"
    assert home.posts == 1 + SEVERAL


def test_a_write_ahead_log_that_is_deleted_under_a_run_is_noticed(home: Home, protocol: Answers) -> None:
    sell_one(home, **protocol)
    home.write_many(SEVERAL + 10)
    run = run_and(
        home, 1 + SEVERAL, ledger_of(home).with_name("ledger.db-wal").unlink, max_concurrency=SEVERAL, **protocol
    )
    assert run.stop is not None
    assert run.stop.by == "lost"
    assert home.posts == home.billed == 1 + SEVERAL
    with home.session() as session:
        kept = {one.prompt_id for one in session.kept.all()}
    assert len(kept) == SEVERAL


def test_a_ledger_that_is_lost_while_tasks_are_waited_for_ends_the_run_at_once(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=600)
    home.write_many(1)
    home.run(GENERATED_BY_ITSELF, task_timeout=0.1, **ASYNCHRONOUS)  # a task of an earlier run
    home.write("z", "a lighthouse")

    def wait_and_delete() -> None:
        wait_until(lambda: home.purchase_states() == ["submitted"] * 2, "both tasks")
        delete(home)

    run = run_and(home, 2, wait_and_delete, **ASYNCHRONOUS)
    assert run.stop is not None
    assert run.stop.by == "lost"
    with home.session() as session:
        assert {one.prompt_id for one in session.kept.all()} == {"json_p00", "json_z"}
