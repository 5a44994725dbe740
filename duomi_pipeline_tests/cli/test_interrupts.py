"""Ctrl-C on a terminal: it reaches every process there, Dagster's helpers too; what people read, and what is recorded."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.processes import started

NO_RUN_YET = "the commands say nothing of a run"


class Terminal:
    """A command on a terminal of its own; `press` is Ctrl-C for all processes there."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self._process, self._master = process, master
        self.seen = ""
        self._reader = threading.Thread(target=self._read)  # so that no process waits for a reader
        self._reader.start()

    def press(self) -> None:
        os.killpg(self._process.pid, signal.SIGINT)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, words: str) -> None:
        """Wait until some words were printed."""
        until(lambda: words in self.seen, words)

    def end(self) -> int:
        """Wait for the end. Returns the exit code."""
        self._reader.join(60)
        return self._process.wait(60)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # what Linux says when the other end is closed
            while chunk := os.read(self._master, 4096):
                self.seen += chunk.decode("utf-8", "replace")


@contextlib.contextmanager
def terminal(home: Path, *arguments: str, columns: int = 120) -> Iterator[Terminal]:
    line, env = command(home, *arguments, TERM="xterm", COLUMNS=str(columns))
    master, slave = pty.openpty()
    with started(line, env=env, cwd=home, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        yield Terminal(process, master)
    os.close(master)


def until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def half_a_file(home: Path) -> Path:
    """A prompt file that somebody has begun to write."""
    path = home / "out/prompt_json/late.json"
    path.write_text('{"image_prompt": "a late')
    # A little ahead of the clock, so that it is young for long enough on a busy machine.
    os.utime(path, (time.time() + 4, time.time() + 4))
    return path


def last_run(home: Path) -> str:
    """The line of `duomi status` about the last run."""
    lines = duomi(home, "status").stdout.splitlines()
    return next((line for line in lines if line.startswith("Last run: ")), NO_RUN_YET)


def test_the_first_says_what_goes_on_and_no_helper_prints_a_traceback(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(latency=0.8)
    with terminal(home, "generate", "--concurrency", "2") as shown:
        until(lambda: sandbox.books.totals().posts == 2, "two requests to be in flight")
        shown.press()
        assert shown.end() == 130
    assert "Traceback" not in shown.seen
    assert "pictures, writing the manifest" in shown.seen.partition("Interrupted: ")[2]
    assert (
        "Interrupted: nothing new is sent, 2 requests in flight are finished. Ctrl-C again leaves at once."
        in shown.seen
    )
    assert "2 generated, 2 remaining" in shown.seen
    assert "interrupted" in last_run(home)


def test_the_second_says_what_may_be_lost_and_status_calls_the_run_interrupted(
    home: Path, sandbox: SandboxServer
) -> None:
    sandbox.change_faults(latency=20)
    with terminal(home, "generate", "--concurrency", "2") as shown:
        until(lambda: sandbox.books.totals().posts == 2, "two requests to be in flight")
        shown.press()
        shown.until("leaves at once")
        shown.press()
        assert shown.end() == 130
    assert "Traceback" not in shown.seen
    assert (
        "Left at once with 2 requests in flight: an answer that was on its way is lost, and may have been billed."
        in shown.seen
    )
    assert "interrupted" in last_run(home)
    assert json.loads(duomi(home, "status", "--json").stdout)["last_run"]["stopped_by"] == "interrupted"


@pytest.mark.parametrize("words", ["to generate", "pictures"])
def test_one_while_dagster_starts_is_no_error_and_sends_nothing(home: Path, sandbox: SandboxServer, words: str) -> None:
    with terminal(home, "generate") as shown:
        shown.until(words)
        shown.press()
        assert shown.end() == 130
    assert "Traceback" not in shown.seen
    assert "unforeseen" not in shown.seen
    assert last_run(home) == NO_RUN_YET or "interrupted" in last_run(home)
    assert sandbox.books.totals().posts == sandbox.books.totals().billed


@pytest.mark.parametrize("arguments", [["plan"], ["status"], ["lint"], ["why", "json_fox"], ["manifest"], ["gallery"]])
def test_one_at_the_start_of_any_command_ends_it_without_a_traceback(home: Path, arguments: list[str]) -> None:
    with terminal(home, *arguments) as shown:
        until((home / "out" / "ledger.db").exists, "the command to be at work")
        shown.press()
        assert shown.end() in (0, 130), "over, or interrupted"
    assert "Traceback" not in shown.seen


def test_one_in_duomi_dev_while_a_run_is_at_work_prints_no_traceback_of_a_helper(
    home: Path, sandbox: SandboxServer
) -> None:
    sandbox.change_faults(latency=1)
    (home / ".dagster_home" / "dagster.yaml").unlink()  # the shipped one is put in its place
    assert duomi(home, "generate", "--launch").returncode == 0
    with terminal(home, "dev", "--port", "0") as shown:
        until(lambda: sandbox.books.totals().posts > 0, "the run to be at work")
        shown.press()
        shown.end()
    assert "watch_orphans" not in shown.seen
    assert "Traceback" not in shown.seen
    assert "interrupted" in last_run(home)
    assert sandbox.books.totals().billed == sandbox.books.totals().posts


def test_a_file_that_is_being_written_is_waited_for_and_bought_with_the_others(
    home: Path, sandbox: SandboxServer
) -> None:
    path = half_a_file(home)
    with terminal(home, "generate") as shown:
        shown.until("Changed a moment ago and not whole: late.json. Waiting until written, at most 15 s …")
        assert sandbox.books.totals().posts == 0
        path.write_text('{"image_prompt": "a late boat"}')
        assert shown.end() == 0
    assert "Left out" not in shown.seen
    assert "5 prompts to generate, 5 requests" in shown.seen
    assert sandbox.books.totals().posts == 5


def test_one_that_stays_as_it_is_is_named_and_the_others_are_bought(home: Path, sandbox: SandboxServer) -> None:
    half_a_file(home)
    with terminal(home, "generate") as shown:
        assert shown.end() == 0
    assert shown.seen.count("Changed a moment ago") == 1
    assert "Left out: late.json: not valid JSON" in shown.seen
    assert sandbox.books.totals().posts == 4


def test_while_a_file_is_waited_for_nothing_is_sent(home: Path, sandbox: SandboxServer) -> None:
    half_a_file(home)
    with terminal(home, "generate") as shown:
        shown.until("Changed a moment ago")
        shown.press()
        assert shown.end() == 130
    assert "Traceback" not in shown.seen
    assert sandbox.books.totals().posts == 0
