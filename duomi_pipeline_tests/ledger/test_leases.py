"""A purchase belongs to its run only as long as that run lives."""

import subprocess
import sys
import textwrap
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from duomi_pipeline.ledger import Held, Ledger
from duomi_pipeline.ledger.leases import HEARTBEAT, LEASE
from duomi_pipeline_tests.ledger.conftest import Opener
from duomi_pipeline_tests.processes import started

CLAIMING = """
    import sys
    from pathlib import Path
    from duomi_pipeline.ledger import Held, Ledger, Limits
    url, home, key, step = sys.argv[1:]
    ledger = Ledger(url, Path(home))
    ledger.start_run("theirs", "cli")
    try:
        purchase = ledger.claim(key, "{}", "theirs")
    except Held:
        sys.exit(7)
    if step != "planned":
        post = ledger.send(purchase, "theirs", 1, Limits())
    if step == "submitted":
        ledger.accepted(purchase, post, "task-1")
    print("claimed", flush=True)
    sys.stdin.read()
"""


def another_process(url: str, home: Path, step: str = "planned") -> AbstractContextManager["subprocess.Popen[str]"]:
    """A process that claims `k`, goes as far as `step`, and stays alive until its input ends."""
    command = [sys.executable, "-c", textwrap.dedent(CLAIMING), url, str(home), "k", step]
    return started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def killed(other: AbstractContextManager["subprocess.Popen[str]"]) -> None:
    with other as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        process.kill()


def change_run(ledger: Ledger, url: str, home: Path, **values: object) -> None:
    """Write into the run `r` what another machine, or time, would have written."""
    engine = create_engine(url.replace("sqlite:///", f"sqlite:///{home}/"))
    with engine.begin() as connection:
        for name, value in values.items():
            connection.execute(text(f"UPDATE runs SET {name} = :value WHERE id = 'r'"), {"value": value})
    engine.dispose()


def test_a_request_that_another_living_process_works_on_is_held(ledger: Ledger, url: str, tmp_path: Path) -> None:
    with another_process(url, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        with pytest.raises(Held):
            ledger.claim("k", "{}", "r")
    assert ledger.claim("k", "{}", "r").run_id == "r"


@pytest.mark.parametrize(
    ("step", "state", "lost"),
    [("planned", "planned", 0), ("submitting", "ambiguous", 1), ("submitted", "submitted", 1)],
)
def test_what_a_killed_process_held_is_taken_over_at_once(
    ledger: Ledger, url: str, tmp_path: Path, step: str, state: str, lost: int
) -> None:
    killed(another_process(url, tmp_path, step))
    taken = ledger.claim("k", "{}", "r")
    assert (taken.state, taken.run_id, ledger.lost_answers(taken.request_key)) == (state, "r", lost)


def test_another_process_does_not_get_what_is_held_here(ledger: Ledger, url: str, tmp_path: Path) -> None:
    ledger.claim("k", "{}", "r")
    with another_process(url, tmp_path) as process:
        process.communicate("")
    assert process.returncode == 7


@pytest.mark.parametrize(("alive_for", "held"), [(LEASE, True), (-1, False)])
def test_a_run_on_another_machine_lives_as_long_as_its_lease(
    ledger: Ledger, url: str, tmp_path: Path, alive_for: float, held: bool
) -> None:
    ledger.start_run("s", "cli")
    ledger.claim("k", "{}", "r")
    change_run(ledger, url, tmp_path, host="another-machine", pid=1, alive_until=time.time() + alive_for)
    if held:
        with pytest.raises(Held):
            ledger.claim("k", "{}", "s")
    else:
        assert ledger.claim("k", "{}", "s").run_id == "s"


def test_a_sign_of_life_renews_the_lease(ledger: Ledger, url: str, tmp_path: Path) -> None:
    ledger.start_run("s", "cli")
    ledger.claim("k", "{}", "r")
    change_run(ledger, url, tmp_path, alive_until=time.time() - 1)
    ledger.renew_run("r")
    with pytest.raises(Held):
        ledger.claim("k", "{}", "s")
    assert HEARTBEAT * 3 < LEASE


def test_a_run_that_goes_on_lives_again(ledger: Ledger, opened: Opener) -> None:
    ledger.start_run("s", "cli")
    ledger.end_run("r", None, None, {})
    ledger.start_run("r", "cli")
    ledger.claim("k", "{}", "r")
    with pytest.raises(Held):
        opened().claim("k", "{}", "s")
