"""A ledger that is copied to another place is closed: to runs that start meanwhile, and to one that comes back."""

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from duomi_pipeline.ledger import Ledger, LedgerError, Limits
from duomi_pipeline.ledger.closing import MOVED, ClosedError
from duomi_pipeline.ledger.copy import Contents, contents_of, move_ledger, open_file
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.ledger.test_leases import Clock, cut_off_runs, let_the_lease_run_out
from duomi_pipeline_tests.ledger.test_ledger import claim

FREE = Limits(price=0.1)


# --- one that starts meanwhile ------------------------------------------------------------------------


@dataclass
class Race:
    """A run that starts and a copy, on one ledger.

    Attributes:
        watch: the same ledger, to see who waits.
        empty: the file of an empty ledger.
        seen: what became of the run and of the copy, in each round.
    """

    copied: Ledger
    used: Ledger
    watch: Ledger
    empty: Path
    seen: set[tuple[str, str]] = field(default_factory=set)
    rounds: int = 0

    def round(self, stops: Ledger, number: int) -> bool:
        """Let one of both stop before a statement until the other has ended, or waits for it.

        Returns whether it has so many statements.
        """
        self.rounds += 1
        target = open_file(shutil.copyfile(self.empty, self.empty.with_name(f"{self.rounds}.db")))
        reached, go_on = threading.Event(), threading.Event()
        with closing(target), ThreadPoolExecutor(2) as pool, stopping(stops, number, reached, go_on):
            work: dict[Ledger, Callable[[], str]] = {self.copied: lambda: self.copy(target), self.used: self.buy}
            first = pool.submit(work.pop(stops))
            wait_until(lambda: reached.is_set() or first.done(), "its turn")
            second = pool.submit(work.popitem()[1])
            wait_until(lambda: second.done() or self.someone_waits(), "the other one to end or to wait")
            go_on.set()
            copy, run = (first, second) if stops is self.copied else (second, first)
            self.seen.add((copy.result(), run.result()))
            if copy.result() == "copied":
                assert contents_of(self.used) == contents_of(target)
                assert run.result() == "closed"
        self.used.end_run(f"run {self.rounds}", None, None, {})
        self.copied.set_fact(MOVED, None)
        return reached.is_set()

    def copy(self, target: Ledger) -> str:
        try:
            move_ledger(self.copied, target, "elsewhere", lambda _: None)
        except LedgerError as error:
            assert "is at work on the ledger" in str(error)
            return "refused"
        return "copied"

    def buy(self) -> str:
        run = f"run {self.rounds}"
        try:
            self.used.start_run(run, "cli")
            self.used.send(claim(self.used, f"k{self.rounds}", run), run, 1, FREE)
        except LedgerError:
            return "closed"
        return "bought"

    def someone_waits(self) -> bool:
        with self.watch.database.read() as connection:
            waiting = "datname = current_database() AND wait_event_type = 'Lock'"
            return bool(connection.exec_driver_sql(f"SELECT count(*) FROM pg_stat_activity WHERE {waiting}").scalar())


@contextmanager
def stopping(ledger: Ledger, number: int, reached: threading.Event, go_on: threading.Event) -> Iterator[None]:
    """Before a statement of that number, wait for the other one."""
    count = 0

    def before(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == number:
            reached.set()
            go_on.wait()

    event.listen(ledger.database.engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        go_on.set()
        event.remove(ledger.database.engine, "before_cursor_execute", before)


@pytest.fixture
def race(postgres_url: str, tmp_path: Path) -> Iterator[Race]:
    with ExitStack() as stack:
        copied, used, watch = (stack.enter_context(closing(Ledger(postgres_url, tmp_path))) for _ in range(3))
        open_file(tmp_path / "empty.db").close()
        yield Race(copied, used, watch, tmp_path / "empty.db")


@pytest.mark.parametrize("stops", ["copied", "used"])
def test_a_run_that_starts_during_a_copy_never_works_on_the_old_ledger(race: Race, stops: str) -> None:
    """Before whatever statement of one of them the other one comes. Nor does a copy that is refused disturb a run."""
    number = 1
    while race.round(getattr(race, stops), number):
        number += 1
    assert race.seen == {("refused", "bought"), ("copied", "closed")}


# --- one that comes back ------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_locks")
def test_a_run_that_counted_as_dead_and_comes_back_after_a_move_sends_nothing(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    mine, clock = claim(ledger), Clock()
    with closing(Ledger(url, tmp_path, clock)) as other, closing(open_file(tmp_path / "moved.db")) as target:
        if url.startswith("postgresql"):  # whose clock counts
            cut_off_runs(url, tmp_path)
            let_the_lease_run_out(url, tmp_path, "r")
        while other.active_runs():
            clock.now += 1
        moved = move_ledger(other, target, "elsewhere", lambda _: None)
        with pytest.raises(ClosedError, match="was copied to elsewhere"):
            ledger.send(mine, "r", 1, FREE)
        assert moved == contents_of(target) == contents_of(ledger) == Contents(1, 0, 0)
        target.start_run("s", "cli")
        assert target.claim("k", mine.request, "s").id == mine.id, "it is bought from there"
