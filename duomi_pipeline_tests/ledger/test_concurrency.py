"""Several threads and programs on one ledger: who waits for whom, and that no limit is passed."""

import json
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from duomi_pipeline.ledger import (
    Held,
    Ledger,
    LedgerError,
    LedgerUnavailableError,
    Limits,
    NotYet,
    Origin,
    PictureFile,
    Purchase,
    PurchaseState,
    RepeatsUsedUp,
    Selection,
)
from duomi_pipeline.ledger.migrate import VERSION
from duomi_pipeline.ledger.postgresql import CONNECTIONS
from duomi_pipeline.ledger.repair import Findings, FoundPurchase
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.ledger.conftest import Opener
from duomi_pipeline_tests.ledger.test_leases import (
    another_process,
    first_line,
    killed,
    let_the_lease_run_out,
    living,
    sql,
)
from duomi_pipeline_tests.ledger.test_ledger import URLS, bought, claim, selection
from duomi_pipeline_tests.postgres import postgres_database
from duomi_pipeline_tests.processes import started

FEW = Limits(requests_in_flight=1)
FREE = Limits(price=0.1)


# --- who waits for whom -------------------------------------------------------------------------------


def test_what_has_arrived_is_recorded_before_anything_new_is_begun(ledger: Ledger, url: str) -> None:
    width = CONNECTIONS if url.startswith("postgresql") else 1
    waiting = [claim(ledger, f"answered{number}") for number in range(3)]
    posts = [ledger.send(purchase, "r", 1, FREE) for purchase in waiting]
    order: list[str] = []

    def begin(name: str, work: Callable[[], object]) -> threading.Thread:
        thread, before = threading.Thread(target=work, name=name), ledger.database.turns.waiting
        thread.start()
        wait_until(lambda: ledger.database.turns.waiting > before, "it to stand in the queue")
        return thread

    def answer(purchase: Purchase, post: int) -> Callable[[], object]:
        return lambda: ledger.answered(purchase, post, URLS, None)

    with ExitStack() as others, ExitStack() as one:
        for number in range(width):
            (others if number else one).enter_context(ledger.database.write(f"busy {number}"))
        event.listen(ledger.database.engine, "before_cursor_execute", lambda *_: order.append(name_of_thread()))
        threads = [begin(f"claim {n}", lambda n=n: claim(ledger, f"new{n}")) for n in range(3)]  # type: ignore[misc]
        threads += [begin(f"answer {n}", answer(*pair)) for n, pair in enumerate(zip(waiting, posts, strict=True))]
        one.close()
        for thread in threads:
            thread.join()
    assert [name for name in dict.fromkeys(order) if name != "MainThread"] == [
        "answer 0",
        "answer 1",
        "answer 2",
        "claim 0",
        "claim 1",
        "claim 2",
    ]


def name_of_thread() -> str:
    return threading.current_thread().name


class Together:
    """Answers that arrive on SQLite while a transaction is at work."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.purchases = [claim(ledger, f"k{number}") for number in range(6)]
        self.posts = [ledger.send(purchase, "r", 1, FREE) for purchase in self.purchases]
        self.commits = 0
        event.listen(ledger.database.engine, "commit", self._count)

    def _count(self, _: object) -> None:
        self.commits += 1

    def record(self, urls: Sequence[Sequence[str]], before: str = "SELECT 1") -> list[BaseException | None]:
        """What became of each answer; `before`: a statement of the transaction that they wait for."""
        return self.write(
            [
                partial(self.ledger.answered, purchase, post, mine, None)
                for purchase, post, mine in zip(self.purchases, self.posts, urls, strict=False)
            ],
            before,
        )

    def write(self, steps: Sequence[Callable[[], object]], before: str = "SELECT 1") -> list[BaseException | None]:
        """What became of steps that all wait for one transaction; `before`: a statement of it."""
        with ThreadPoolExecutor(len(steps)) as pool:
            with suppress(LedgerUnavailableError), self.ledger.database.write() as connection:
                connection.exec_driver_sql(before)
                work = [pool.submit(step) for step in steps]
                wait_until(lambda: self.ledger.database.turns.waiting == len(steps), "all to wait")
            return [one.exception() for one in work]

    def recorded(self) -> list[bool]:
        with closing(sqlite3.connect(self.ledger.database.file or "")) as db:
            return [state == "ready" for (state,) in db.execute("SELECT state FROM purchases ORDER BY id")]


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Together]:
    with closing(Ledger("sqlite:///ledger.db", tmp_path)) as ledger:
        ledger.start_run("r", "cli")
        yield Together(ledger)


def test_answers_that_arrive_together_share_a_commit(together: Together) -> None:
    assert together.record([URLS] * 6) == [None] * 6
    assert (together.commits, together.recorded()) == (1, [True] * 6)


def test_what_begins_shares_a_commit_too_and_counts_what_has_just_begun(together: Together) -> None:
    most = replace(FREE, images_per_run=6 + 2)
    purchases = [claim(together.ledger, f"new{number}") for number in range(4)]
    commits = together.commits
    errors = together.write([partial(together.ledger.send, purchase, "r", 1, most) for purchase in purchases])
    assert [type(error) for error in errors if error] == [NotYet] * 2
    assert (together.commits - commits, together.ledger.money().reserved) == (1, 8)


def test_one_of_them_that_fails_is_undone_by_itself(together: Together) -> None:
    taken = together.purchases[2]
    together.ledger.start_run("s", "cli")
    together.purchases[2] = replace(taken, run_id="s")  # it counted as dead, and comes back
    errors = together.record([URLS] * 6)
    assert [type(error) for error in errors if error] == [LedgerError]
    assert together.recorded() == [True, True, False, True, True, True]
    assert (together.commits, together.ledger.money().billed) == (2, 5)  # one of the run's start


def test_a_full_disk_fails_whatever_is_not_on_disk(together: Together) -> None:
    large = [f"https://files.example/{'a' * 100_000}.png"]
    with together.ledger.database.read() as connection:
        pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    errors = together.record([URLS, large, URLS, large, URLS, URLS], f"PRAGMA max_page_count = {pages + 1}")
    assert [error is None for error in errors] == together.recorded()
    assert isinstance(errors[1], LedgerUnavailableError)


def test_what_sqlite_has_undone_counts_as_written_by_nobody(together: Together) -> None:
    """As where the disk is full; only its answer is lost here."""
    with pytest.raises(LedgerUnavailableError), together.ledger.database.write() as connection:
        connection.exec_driver_sql("INSERT INTO facts VALUES ('mine', '1')")
        connection.exec_driver_sql("ROLLBACK")
    assert together.ledger.fact("mine") is None


def test_where_one_of_them_cannot_be_undone_by_itself_all_are(together: Together) -> None:
    def fail() -> None:
        with together.ledger.database.write() as connection:
            connection.exec_driver_sql("INSERT INTO facts VALUES ('half', '1')")
            connection.exec_driver_sql("RELEASE part")
            raise ValueError

    answers = [partial(together.ledger.set_fact, name, "1") for name in ("before", "after")]
    errors = together.write([answers[0], fail, answers[1]])
    assert [type(error) for error in errors] == [LedgerUnavailableError, ValueError, type(None)]
    assert [together.ledger.fact(name) for name in ("before", "half", "after")] == [None, None, "1"]


def test_one_request_does_not_wait_for_another_ones_transaction(postgres_url: str, tmp_path: Path) -> None:
    with closing(Ledger(postgres_url, tmp_path)) as first, closing(Ledger(postgres_url, tmp_path)) as second:
        second.start_run("r", "cli")
        with first.database.write("k") as connection:
            connection.exec_driver_sql("UPDATE runs SET message = 'slow' WHERE false")
            assert bought(second, "another").state == "saved"


def test_two_that_claim_one_request_do_not_both_find_nothing(postgres_url: str, tmp_path: Path) -> None:
    """The second one waits for the first one's transaction, however long, and sees what it wrote."""
    with closing(Ledger(postgres_url, tmp_path)) as first, closing(Ledger(postgres_url, tmp_path)) as second:
        first.start_run("r", "cli")
        second.start_run("s", "cli")
        with ThreadPoolExecutor(1) as pool:
            with first.database.write("k") as connection:
                columns = "request_key, request, state, run_id, created_at, updated_at"
                connection.exec_driver_sql(
                    f"INSERT INTO purchases ({columns}) VALUES ('k', '{{}}', 'saved', 'r', 1, 1)"
                )
                other = pool.submit(claim, second, "k", "s")
                wait_until(lambda: sql_waits(first), "the other one to wait")
            assert other.result().state == "saved"


def sql_waits(ledger: Ledger) -> bool:
    with ledger.database.read() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(found.scalar())


def test_a_program_that_takes_no_locks_does_not_make_a_second_purchase(
    ledger: Ledger, url: str, opened: Opener
) -> None:
    """As an earlier version does, whose locks are others: the unique index is the last guard."""
    if url.startswith("sqlite"):
        pytest.skip("of PostgreSQL: on SQLite there is one lock for all versions")
    other = opened()
    other.start_run("s", "cli")
    with ThreadPoolExecutor(1) as pool:
        with ledger.database.write("of an earlier version") as connection:
            columns = "request_key, request, state, run_id, created_at, updated_at"
            connection.exec_driver_sql(f"INSERT INTO purchases ({columns}) VALUES ('k', '{{}}', 'planned', 'r', 1, 1)")
            second = pool.submit(claim, other, "k", "s")
            wait_until(lambda: waits_for_a_row(ledger), "the other one to wait")
        with pytest.raises(Held):
            second.result()


def waits_for_a_row(ledger: Ledger) -> bool:
    with ledger.database.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
        )
        return bool(found.scalar())


# --- what must be exact -------------------------------------------------------------------------------


def test_threads_that_send_one_request_lose_no_more_answers_than_allowed(opened: Opener) -> None:
    ledgers = [opened(), opened()]
    ledgers[0].start_run("r", "cli")
    purchase = claim(ledgers[0])

    def attempt(number: int) -> bool:
        try:
            ledgers[number % 2].send(purchase, "r", 1, Limits(lost_answers=3))
        except RepeatsUsedUp:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(24))) == 3


def test_requests_in_flight_are_counted_over_all_runs_until_they_are_answered(ledger: Ledger) -> None:
    ledger.start_run("s", "cli")
    first, second = claim(ledger, "k1"), claim(ledger, "k2", "s")
    post = ledger.send(first, "r", 1, FEW)
    with pytest.raises(NotYet):
        ledger.send(second, "s", 1, FEW)
    assert ledger.purchase(second.id).state == "planned"
    ledger.accepted(first, post, "task-1")
    ledger.send(second, "s", 1, FEW)


@pytest.mark.parametrize(
    "limits",
    [{"requests_in_flight": 7}, {"requests_per_day": 7}, {"spend_per_day": 0.7, "price": 0.1}],
    ids=["in flight", "requests of a day", "money of a day"],
)
def test_two_processes_together_send_no_more_than_allowed(
    url: str, opened: Opener, tmp_path: Path, limits: dict[str, float]
) -> None:
    opened()
    line = [sys.executable, "-c", textwrap.dedent(SENDING), url, str(tmp_path), json.dumps(limits)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(started([*line, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for name in ("one", "two")
        ]
        counts = [int(first_line(process)) for process in processes]
        assert (sum(counts), opened().money().reserved) == (7, 7)
        for process in processes:
            process.communicate("")


SENDING = """
    import json, sys
    from pathlib import Path
    from duomi_pipeline.ledger import Ledger, LimitReached, Limits, NotYet
    url, home, limits, run = sys.argv[1:]
    ledger = Ledger(url, Path(home))
    ledger.start_run(run, "cli")
    sent = 0
    for number in range(20):
        try:
            ledger.send(ledger.claim(f"{run}{number}", "{}", run), run, 1, Limits(**json.loads(limits)))
        except (LimitReached, NotYet):
            continue
        sent += 1
    print(sent, flush=True)
    sys.stdin.read()
"""


def test_what_a_dead_run_sent_is_in_flight_for_a_minute_and_what_a_living_one_sent_until_its_answer(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    mine = claim(ledger, "mine")
    with living(another_process(url, tmp_path, "submitting")):
        sql(url, tmp_path, "UPDATE posts SET sent_at = sent_at - 3600")
        with pytest.raises(NotYet):
            ledger.send(mine, "r", 1, FEW)
    let_the_lease_run_out(url, tmp_path, "theirs")
    ledger.not_taken(mine, ledger.send(mine, "r", 1, FEW))
    killed(another_process(url, tmp_path, "submitting", run="again"))
    let_the_lease_run_out(url, tmp_path, "again")
    with pytest.raises(NotYet):
        ledger.send(mine, "r", 1, Limits(requests_in_flight=1))
    sql(url, tmp_path, "UPDATE posts SET sent_at = sent_at - 61")
    ledger.send(mine, "r", 1, FEW)


def test_what_a_clock_ahead_has_sent_holds_up_nothing_until_that_time_comes(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    killed(another_process(url, tmp_path, "submitting"))
    let_the_lease_run_out(url, tmp_path, "theirs")
    mine = claim(ledger, "mine")
    for limits in (FEW, Limits(requests_per_minute=1)):
        with pytest.raises(NotYet):
            ledger.send(mine, "r", 1, limits)
    sql(url, tmp_path, "UPDATE posts SET sent_at = sent_at + 3600")
    ledger.not_taken(mine, ledger.send(mine, "r", 1, FEW))
    sql(url, tmp_path, "UPDATE posts SET sent_at = sent_at + 3600")
    ledger.send(mine, "r", 1, Limits(requests_per_minute=1))


def test_what_a_killed_run_sent_is_in_flight_for_a_minute_also_once_another_one_has_taken_it_over(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    killed(another_process(url, tmp_path, "submitting"))
    let_the_lease_run_out(url, tmp_path, "theirs")
    taken, mine = claim(ledger), claim(ledger, "mine")
    assert (taken.state, taken.run_id) == ("ambiguous", "r")
    for purchase in (taken, mine):
        with pytest.raises(NotYet):
            ledger.send(purchase, "r", 1, FEW)
    ledger.send(mine, "r", 1, Limits(requests_in_flight=2))
    with pytest.raises(NotYet):
        ledger.send(taken, "r", 1, Limits(requests_in_flight=2))
    sql(url, tmp_path, f"UPDATE posts SET sent_at = sent_at - 61 WHERE purchase_id = {taken.id}")
    post = ledger.send(taken, "r", 1, Limits(requests_in_flight=2))
    ledger.answer_lost(taken, post, "ambiguous", "no answer")
    ledger.send(taken, "r", 1, Limits(requests_in_flight=2, lost_answers=3))  # an answer that is known to be lost


def test_two_that_find_the_same_pictures_record_them_once(opened: Opener) -> None:
    ledgers = [opened(), opened()]
    file = PictureFile("json_a", 0, 0, "a.png", 9, "1x1", "1x1", Origin.ADOPTED, 5.0)
    found = Findings(
        tuple(
            FoundPurchase(
                f"k{n}", "{}", "json_a", "v", "s", None, None, n, 0.1, "CNY", True, (replace(file, file=f"{n}.png"),)
            )
            for n in range(150)
        ),
        foreign={"other.png": 3},
    )
    barrier = threading.Barrier(4)

    def adopt(number: int) -> int:
        barrier.wait()
        return ledgers[number % 2].adopt(found)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(adopt, range(4))) == 150
    assert ledgers[0].money().billed == 150
    assert ledgers[0].selections()["json_a"].request_key == "k149"


def test_a_prompts_pictures_can_be_recorded_by_two_at_once(opened: Opener) -> None:
    ledgers = [opened(), opened()]
    ledgers[0].start_run("r", "cli")

    def buy(number: int) -> str:
        return bought(ledgers[number % 2], f"k{number}").state

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(buy, range(24))) == {"saved"}
    assert len(ledgers[0].selections()["json_a"].files) == 1


def test_a_transaction_that_fails_at_its_end_leaves_nothing_behind(ledger: Ledger) -> None:
    purchase = claim(ledger)
    ledger.answered(purchase, ledger.send(purchase, "r", 1, FREE), URLS, None)
    ready, whole = ledger.purchase(purchase.id), selection(purchase, count=1)
    twice = Selection(whole.prompt_id, purchase.id, "k", "v1", "s1", time.time(), (*whole.files, *whole.files))
    for _ in range(CONNECTIONS + 1):
        with pytest.raises(IntegrityError):
            ledger.saved(ready, twice)
    assert ledger.purchase(purchase.id) == ready
    ledger.saved(ready, whole)
    assert ledger.purchase(purchase.id).state == PurchaseState.SAVED


# --- other versions -----------------------------------------------------------------------------------


def test_a_newer_program_that_changes_the_tables_under_an_older_one_stops_its_writing(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    purchase = claim(ledger)
    post = ledger.send(purchase, "r", 1, FREE)
    sql(url, tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    try:
        for write in (lambda: claim(ledger, "new"), lambda: ledger.answered(purchase, post, URLS, None)):
            with pytest.raises(
                LedgerError, match="upgraded by a newer version of this program: nothing more is written"
            ):
                write()
        assert ledger.purchase(purchase.id).state == "submitting"
        assert set(ledger.latest_purchases()) == {"k"}
    finally:
        sql(url, tmp_path, "UPDATE alembic_version SET version_num = :known", known=VERSION)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_first_starts_at_once_make_the_tables_once(tmp_path: Path, database: str) -> None:
    code = "import sys; from pathlib import Path; from duomi_pipeline.ledger import Ledger; sys.stdin.read(); Ledger(sys.argv[1], Path(sys.argv[2])).close()"
    with ExitStack() as stack:
        url = "sqlite:///ledger.db" if database == "sqlite" else stack.enter_context(postgres_database())
        line = [sys.executable, "-c", code, url, str(tmp_path)]
        starts = [
            stack.enter_context(started(line, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            for _ in range(4)
        ]
        assert [process.communicate("")[1] for process in starts] == [""] * 4
        assert [process.returncode for process in starts] == [0] * 4
        with closing(Ledger(url, tmp_path)) as ledger:
            ledger.start_run("r", "cli")
            assert bought(ledger).state == "saved"
