"""`duomi clean`: shows, asks, removes what is old, and nothing else."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, pictures, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.processes import started

OLD = "20200304_050607_089"
# Its arguments are a command, which it runs in a terminal of its own.
IN_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
NO_AGE = {"DUOMI_KEEP_RUNS_DAYS": "0"}


@pytest.fixture
def used(home: Path) -> Path:
    """A home with three Dagster runs, and old and foreign files among the logs."""
    for prompt_id in ("json_boat", "json_fox", "json_market"):
        assert duomi(home, "generate", "--prompt-id", prompt_id).returncode == 0
    for name in (f"duomi_generation_results_{OLD}.json", f"duomi_image_generation_{OLD}.log", *FOREIGN):
        (home / "logs" / name).write_text("x" * 1000)
    (home / "logs" / LINK).symlink_to(home / "out/ledger.db")
    return home


FOREIGN = (
    f"my_{OLD}.json",
    "duomi_generation_results_mine.json",
    "duomi_generation_results_20209999_050607_089.json",
    f"duomi_generation_results_{OLD}.json.bak",
)
LINK = "duomi_generation_results_20200304_050607_090.json"


def files(home: Path, *but: str) -> dict[str, bytes]:
    """All files of a home with their content, but for Dagster's own and those named."""
    paths = (path for path in home.rglob("*") if path.is_file() and ".dagster_home" not in path.parts)
    return {str(path.relative_to(home)): path.read_bytes() for path in paths if path.name not in but}


def run_databases(home: Path) -> int:
    return len([path for path in (home / ".dagster_home/history/runs").glob("?*.db") if path.stem != "index"])


def test_it_shows_and_removes_nothing_unasked(used: Path) -> None:
    before, runs = files(used), run_databases(used)

    for arguments in ((), ("--dry-run",), ("--dry-run", "--yes")):
        told = duomi(used, "clean", *arguments, **NO_AGE)
        assert told.returncode == 0, told.stderr
        lines = [line.split()[0] for line in told.stdout.splitlines()]
        assert lines == ["2", "1", "1", "0"]
        assert ("use --yes to remove" in told.stderr) == (arguments == ())

    assert files(used) == before
    assert run_databases(used) == runs == 3


def test_yes_removes_what_is_old_and_nothing_else(used: Path, sandbox: SandboxServer) -> None:
    gone = (f"duomi_generation_results_{OLD}.json", f"duomi_image_generation_{OLD}.log")
    before, made, posts = files(used, *gone), pictures(used), len(sandbox.books.posts())

    told = duomi(used, "clean", "--yes", "--json", **NO_AGE)

    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["removed"] is True
    assert {kind: each["count"] for kind, each in found["kinds"].items()} == {
        "runs": 2,
        "results": 1,
        "logs": 1,
        "prompt_cache": 0,
    }
    assert found["kinds"]["runs"]["bytes"] > 200_000
    assert files(used) == before
    assert (used / "logs" / LINK).is_symlink()
    assert pictures(used) == made
    assert run_databases(used) == 1
    assert duomi(used, "generate").returncode == 0
    assert len(sandbox.books.posts()) == posts + 1, "the one prompt that had no picture"
    assert json.loads(duomi(used, "clean", "--json").stdout)["removed"] is False


def test_by_default_young_runs_and_results_stay(used: Path) -> None:
    found = json.loads(duomi(used, "clean", "--yes", "--json").stdout)
    assert [each["count"] for each in found["kinds"].values()] == [0, 1, 1, 0]
    assert run_databases(used) == 3


def test_an_empty_home_stays_empty(tmp_path: Path) -> None:
    told = duomi(tmp_path, "clean", "--yes")
    assert told.returncode == 0, told.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_cache_of_an_earlier_version_goes(home: Path) -> None:
    (home / "out/prompt_files.db").write_bytes(b"former")

    found = json.loads(duomi(home, "clean", "--yes", "--json").stdout)["kinds"]["prompt_cache"]
    assert found == {"count": 1, "bytes": 6}
    again = json.loads(duomi(home, "clean", "--json").stdout)["kinds"]["prompt_cache"]
    assert again == {"count": 0, "bytes": 0}


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 0, 3), ("y\n", 0, 1), ("\x03", 130, 3)])
def test_on_a_terminal_it_asks(used: Path, answer: str, code: int, left: int) -> None:
    line, env = command(used, "clean", **NO_AGE)
    in_terminal = [sys.executable, "-c", IN_TERMINAL, *line]
    with started(in_terminal, env=env, cwd=used, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(process.stdout.fileno(), 4096)
        # Again where it is not heard: a signal that comes just before the blocking read is noticed after it.
        for _ in range(60):
            process.stdin.write(answer.encode())
            process.stdin.flush()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
                break
        assert process.wait(60) == code
    assert b"Pictures, ledger, prompts and kept answers stay" in shown
    assert run_databases(used) == left


def test_ctrl_c_ends_it_without_a_traceback_and_the_next_goes_on(used: Path) -> None:
    line, env = command(used, "clean", "--yes", **NO_AGE)
    with started(line, env=env, cwd=used, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while run_databases(used) == 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode in (0, 130), "over, or interrupted"
    assert errors.strip() == ""
    assert duomi(used, "clean", "--yes", **NO_AGE).returncode == 0
    assert run_databases(used) == 1


def test_a_run_at_work_is_not_disturbed(used: Path, sandbox: SandboxServer) -> None:
    write_prompts(used, {f"new{number}": f"Boat {number}" for number in range(3)})
    sandbox.change_faults(latency=0.8)
    posts = len(sandbox.books.posts())
    line, env = command(used, "generate", "--concurrency", "1")
    with started(line, env=env, cwd=used, stdout=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 30
        while len(sandbox.books.posts()) == posts and time.monotonic() < deadline:
            time.sleep(0.02)
        cleaned = json.loads(duomi(used, "clean", "--yes", "--json", **NO_AGE).stdout)
        assert run.wait(60) == 0
    assert cleaned["kinds"]["runs"]["count"] >= 2
    assert len(pictures(used)) == 7
    assert "7  current" in duomi(used, "plan").stdout


def test_a_value_that_is_none_is_named(home: Path) -> None:
    told = duomi(home, "clean", DUOMI_KEEP_RUNS_DAYS="-1")
    assert told.returncode == 2
    assert "DUOMI_KEEP_RUNS_DAYS" in told.stderr
