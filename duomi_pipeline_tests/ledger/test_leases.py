"""A purchase belongs to its run only as long as that run lives; what the world shows of that, and what it does not."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from duomi_pipeline.ledger import Held, Ledger, LedgerError
from duomi_pipeline.ledger.leases import HEARTBEAT, LEASE
from duomi_pipeline_tests.ledger.conftest import Opener
from duomi_pipeline_tests.processes import IN_A_PID_NAMESPACE, can_have_pid_namespaces, started

needs_namespaces = pytest.mark.skipif(not can_have_pid_namespaces(), reason="no pid namespaces for this user here")

CLAIMING = """
    import os, socket, subprocess, sys, time
    from pathlib import Path
    url, home, run, step, ahead, host = sys.argv[1:]
    true_time = time.time
    time.time = lambda: true_time() + float(ahead)
    if host:
        socket.gethostname = lambda: host
    from duomi_pipeline.ledger import Held, Ledger, Limits
    ledger = Ledger(url, Path(home))
    ledger.start_run(run, "cli")
    try:
        purchase = ledger.claim("k", "{}", run)
    except Held:
        print("held", flush=True)
        sys.exit()
    if step in ("submitting", "submitted"):
        post = ledger.send(purchase, run, 1, Limits())
    if step == "submitted":
        ledger.accepted(purchase, post, "task-1")
    if step == "with children":
        subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
        if not os.fork():
            os.close(1)
            time.sleep(60)
    print("claimed", flush=True)
    sys.stdin.read()
"""


def another_process(
    url: str,
    home: Path,
    step: str = "planned",
    *,
    run: str = "theirs",
    prefix: Sequence[str] = (),
    ahead: float = 0.0,
    host: str = "",
) -> AbstractContextManager["subprocess.Popen[str]"]:
    """A process that claims `k`, goes as far as `step`, and stays alive until its input ends.

    Args:
        ahead: seconds by which its clock is ahead.
        host: the name that its machine has for it.
    """
    arguments = [url, str(home), run, step, str(ahead), host]
    command = [*prefix, sys.executable, "-c", textwrap.dedent(CLAIMING), *arguments]
    return started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return str(process.stdout.readline().strip())


@contextmanager
def living(other: AbstractContextManager["subprocess.Popen[str]"]) -> Iterator[None]:
    """A process that has claimed `k`, and lives as long as the block."""
    with other as process:
        assert first_line(process) == "claimed"
        yield
        process.communicate("")


def killed(other: AbstractContextManager["subprocess.Popen[str]"]) -> None:
    with other as process:
        assert first_line(process) == "claimed"
        process.kill()


def what_it_gets(other: AbstractContextManager["subprocess.Popen[str]"]) -> str:
    """Whether a process got `k`."""
    with other as process:
        got = first_line(process)
        process.communicate("")
    return got


def sql(url: str, home: Path, statement: str, **values: object) -> None:
    """Write into the ledger what time, another version or another machine would have written."""
    engine = create_engine(url.replace("sqlite:///", f"sqlite:///{home}/"))
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def let_the_lease_run_out(url: str, home: Path, run: str) -> None:
    """On PostgreSQL a run whose connection is gone has the rest of its lease: the server may have cut it off."""
    if url.startswith("postgresql"):
        sql(url, home, f"UPDATE runs SET alive_until = alive_until - {LEASE} WHERE id = :run", run=run)


def cut_off_runs(url: str, home: Path) -> None:
    """Break the connections of PostgreSQL that hold runs' locks."""
    here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"  # others use the server, too
    sql(url, home, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND {here}")


class Clock:
    """An observer's own clock, which goes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Observer:
    """Another run, which wants what `r` has; it looks again and again, as a batch does."""

    def __init__(self, home: Path) -> None:
        self.clock = Clock()
        self.ledger = Ledger("sqlite:///ledger.db", home, self.clock)
        self.ledger.start_run("s", "cli")

    def gets_it(self, after: float = 0.0, *, every: float = 1.0) -> bool:
        """Whether it takes `k` over within so many seconds."""
        until = self.clock.now + after
        while True:
            try:
                return self.ledger.claim("k", "{}", "s").run_id == "s"
            except Held:
                if self.clock.now >= until:
                    return False
                self.clock.now += every


@pytest.fixture
def observer(tmp_path: Path) -> Iterator[Observer]:
    found = Observer(tmp_path)
    with closing(found.ledger):
        yield found


@pytest.fixture
def r(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with a run `r` that has claimed `k`."""
    with closing(Ledger("sqlite:///ledger.db", tmp_path)) as ledger:
        ledger.start_run("r", "cli")
        ledger.claim("k", "{}", "r")
        yield ledger


def test_a_request_that_another_living_process_works_on_is_held(ledger: Ledger, url: str, tmp_path: Path) -> None:
    with living(another_process(url, tmp_path)), pytest.raises(Held):
        ledger.claim("k", "{}", "r")
    let_the_lease_run_out(url, tmp_path, "theirs")
    assert ledger.claim("k", "{}", "r").run_id == "r"


@pytest.mark.parametrize(
    ("step", "state", "lost"),
    [("planned", "planned", 0), ("submitting", "ambiguous", 1), ("submitted", "submitted", 1)],
)
def test_what_a_killed_process_held_is_taken_over_at_once(
    ledger: Ledger, url: str, tmp_path: Path, step: str, state: str, lost: int
) -> None:
    killed(another_process(url, tmp_path, step))
    let_the_lease_run_out(url, tmp_path, "theirs")
    taken = ledger.claim("k", "{}", "r")
    assert (taken.state, taken.run_id, ledger.lost_answers(taken.request_key)) == (state, "r", lost)


def test_another_process_does_not_get_what_is_held_here(ledger: Ledger, url: str, tmp_path: Path) -> None:
    ledger.claim("k", "{}", "r")
    assert what_it_gets(another_process(url, tmp_path)) == "held"


@pytest.mark.parametrize("host", ["", "another-container"])
@pytest.mark.parametrize("ahead", [-7200.0, -600.0, 600.0, 7200.0])
def test_no_clock_makes_a_living_run_dead(ledger: Ledger, url: str, tmp_path: Path, ahead: float, host: str) -> None:
    with living(another_process(url, tmp_path, ahead=ahead, host=host)), pytest.raises(Held):
        ledger.claim("k", "{}", "r")


@pytest.mark.parametrize("ahead", [-600.0, 600.0])
def test_no_clock_makes_a_dead_run_live(ledger: Ledger, url: str, tmp_path: Path, ahead: float) -> None:
    killed(another_process(url, tmp_path, ahead=ahead, host="another-container"))
    let_the_lease_run_out(url, tmp_path, "theirs")
    assert ledger.claim("k", "{}", "r").run_id == "r"


def test_a_process_that_a_run_left_behind_does_not_keep_it_alive(ledger: Ledger, url: str, tmp_path: Path) -> None:
    with another_process(url, tmp_path, "with children") as process:
        assert first_line(process) == "claimed"
        process.kill()
        process.wait()
        let_the_lease_run_out(url, tmp_path, "theirs")
        if url.startswith("sqlite"):  # a child has a copy of the connection, and the server waits for the last one
            assert ledger.claim("k", "{}", "r").run_id == "r"
        os.killpg(process.pid, 9)


class TestContainers:
    """Several pid namespaces with one host name on one ledger, as `docker compose` gives them."""

    pytestmark = needs_namespaces
    URL = "sqlite:///ledger.db"

    def test_a_run_outside_lives_for_those_inside(self, r: Ledger, tmp_path: Path) -> None:
        assert what_it_gets(another_process(self.URL, tmp_path, prefix=IN_A_PID_NAMESPACE)) == "held"

    def test_a_run_inside_lives_for_those_outside(self, observer: Observer, tmp_path: Path) -> None:
        with living(another_process(self.URL, tmp_path, prefix=IN_A_PID_NAMESPACE)):
            assert not observer.gets_it(after=3600, every=HEARTBEAT)

    def test_a_container_that_was_killed_and_started_again_goes_on_at_once(self, tmp_path: Path) -> None:
        killed(another_process(self.URL, tmp_path, prefix=IN_A_PID_NAMESPACE, run="first"))
        assert what_it_gets(another_process(self.URL, tmp_path, prefix=IN_A_PID_NAMESPACE, run="second")) == "claimed"


class TestWithoutLocks:
    """No lock tells whether a run lives: it has so long to give a sign of life, by the observer's own clock."""

    pytestmark = pytest.mark.usefixtures("no_locks")

    def test_a_silent_run_is_dead_after_its_lease(self, r: Ledger, observer: Observer) -> None:
        assert not observer.gets_it(after=LEASE - 5)
        assert observer.gets_it(after=10)

    def test_signs_of_life_keep_it(self, r: Ledger, observer: Observer) -> None:
        for _ in range(10):
            assert not observer.gets_it(after=LEASE - 5)
            r.renew_run("r")

    def test_a_laptop_that_slept_has_heard_nothing_meanwhile(self, r: Ledger, observer: Observer) -> None:
        """Also where the clock goes on in its sleep: run and observer slept alike."""
        assert not observer.gets_it(after=10)
        assert not observer.gets_it(after=1, every=3600)

    @pytest.mark.parametrize("seconds", [-7200, -600, 600])
    def test_the_time_of_day_is_no_matter(
        self, r: Ledger, observer: Observer, monkeypatch: pytest.MonkeyPatch, seconds: float
    ) -> None:
        true_time = time.time
        monkeypatch.setattr(time, "time", lambda: true_time() + seconds)
        r.renew_run("r")
        monkeypatch.setattr(time, "time", true_time)
        assert not observer.gets_it(after=LEASE - 5)

    def test_a_run_that_has_ended_holds_nothing(self, r: Ledger, observer: Observer) -> None:
        r.end_run("r", None, None, {})
        assert observer.gets_it()

    def test_a_run_that_was_taken_for_dead_and_comes_back_writes_nothing(self, r: Ledger, observer: Observer) -> None:
        mine = r.claim("k", "{}", "r")
        assert observer.gets_it(after=LEASE + 1)
        with pytest.raises(LedgerError, match="counted as dead"):
            r.accepted(mine, 1, "task-1")
        r.renew_run("r")
        assert observer.ledger.purchase(mine.id).run_id == "s"

    def test_nothing_is_left_that_would_look_like_a_lock(self, r: Ledger, tmp_path: Path) -> None:
        assert list(tmp_path.rglob("*.lock")) == []


@pytest.mark.parametrize("name", ["a-host", "kernel:of-another-machine"])
def test_a_lock_of_another_kernel_or_of_none_proves_no_death(
    r: Ledger, observer: Observer, tmp_path: Path, name: str
) -> None:
    """A run of an earlier version has no lock; two kernels need not see each other's, though they share the folder."""
    sql("sqlite:///ledger.db", tmp_path, "UPDATE runs SET host = :name WHERE id = 'r'", name=name)
    r.close()
    assert not observer.gets_it(after=LEASE - 5)
    assert observer.gets_it(after=10)


def test_locks_that_somebody_deleted_prove_no_death(r: Ledger, observer: Observer, tmp_path: Path) -> None:
    (folder,) = {file.parent for file in tmp_path.rglob("*.lock")}
    shutil.rmtree(folder)
    assert not observer.gets_it(after=LEASE - 5)


def test_a_sign_of_life_renews_the_lease(ledger: Ledger, url: str, tmp_path: Path) -> None:
    if url.startswith("sqlite"):
        pytest.skip("of PostgreSQL, whose clock counts; without a server see TestWithoutLocks")
    killed(another_process(url, tmp_path))
    let_the_lease_run_out(url, tmp_path, "theirs")
    ledger.renew_run("theirs")
    with pytest.raises(Held):
        ledger.claim("k", "{}", "r")
    assert HEARTBEAT * 3 < LEASE


def test_a_run_whose_connection_the_server_cut_off_lives_on(
    ledger: Ledger, url: str, opened: Opener, tmp_path: Path
) -> None:
    if url.startswith("sqlite"):
        pytest.skip("of PostgreSQL, whose server may be restarted under a run")
    ledger.claim("k", "{}", "r")
    other = opened()
    other.start_run("s", "cli")
    cut_off_runs(url, tmp_path)
    with pytest.raises(Held):
        other.claim("k", "{}", "s")
    ledger.renew_run("r")
    let_the_lease_run_out(url, tmp_path, "r")
    with pytest.raises(Held):  # it has its lock again
        other.claim("k", "{}", "s")


def test_a_run_that_goes_on_lives_again(ledger: Ledger, opened: Opener) -> None:
    ledger.start_run("s", "cli")
    ledger.end_run("r", None, None, {})
    ledger.start_run("r", "cli")
    ledger.claim("k", "{}", "r")
    with pytest.raises(Held):
        opened().claim("k", "{}", "s")


def test_a_run_lives_as_long_as_one_of_its_sessions(r: Ledger, observer: Observer, tmp_path: Path) -> None:
    with closing(Ledger("sqlite:///ledger.db", tmp_path)) as part:  # as a command's Dagster runs
        part.start_run("r", "cli")
    assert not observer.gets_it(after=3600, every=HEARTBEAT)
    r.close()
    assert observer.gets_it()


def test_a_command_is_gone_when_its_process_is_not_when_one_of_its_parts_ended(
    r: Ledger, observer: Observer, tmp_path: Path
) -> None:
    r.end_run("r", None, None, {})
    assert not observer.ledger.is_gone("r")
    r.close()
    assert observer.ledger.is_gone("r")
    with closing(Ledger("sqlite:///ledger.db", tmp_path)) as later:
        later.start_run("later", "cli")  # and clears away
        assert later.is_gone("r")


def test_two_processes_are_not_one_run(r: Ledger, tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(CLAIMING), "sqlite:///ledger.db", str(tmp_path), "r", "", "0", ""]
    with started(command, stderr=subprocess.PIPE, text=True) as process:
        assert "is active in another process" in process.communicate()[1]
    assert process.returncode


def test_locks_of_dead_runs_do_not_pile_up(tmp_path: Path) -> None:
    for number in range(3):
        killed(another_process("sqlite:///ledger.db", tmp_path, run=f"run-{number}"))
    assert [file.stem for file in tmp_path.rglob("*.lock")] == ["run-2"]
