"""The receipt at the end of `duomi generate`, on the terminal and in the logs."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.processes import started


def kept(home: Path) -> dict[str, Any]:
    """The only results file."""
    (path,) = (home / "logs").glob("duomi_generation_results_*.json")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def log_lines(home: Path) -> list[str]:
    """The messages of the log."""
    text = (home / "logs" / "duomi_image_generation.log").read_text(encoding="utf-8")
    return [line.split(" ", 3)[3] for line in text.splitlines()]


def dagster_runs(home: Path, run_id: str) -> list[str]:
    """The Dagster runs that were part of a command."""
    with closing(sqlite3.connect(home / ".dagster_home" / "history" / "runs.db")) as database:
        query = "SELECT run_id FROM run_tags WHERE key = '.dagster/duomi_run' AND value = ?"
        return [row[0] for row in database.execute(query, [run_id])]


def test_the_terminal_shows_classes_money_time_and_what_to_do_next(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(refuse=("fox",))

    run = duomi(home, "generate", "--max-images", "2", "--concurrency", "1")

    assert run.returncode == 4
    lines = run.stdout.splitlines()
    assert re.fullmatch(r"2 generated, 1 failed, 1 remaining in \d+\.\d s \(.* pictures/s\)", lines[0])
    assert "Cost: 0.20 CNY" in lines
    assert "Failed: 1 refused" in lines
    assert re.search(r"^  failed: json_fox: The prompt was rejected.* \(refused 20021\)$", run.stdout, re.MULTILINE)
    assert "Next: Start again, each run may use as much; or raise max_images." in lines
    assert "Next: Refused: edit the prompt; `duomi why json_fox` shows what was asked." in lines
    assert Path(lines[-1].removeprefix("Results: ")).is_file()
    receipt = kept(home)["receipt"]
    assert (receipt["stopped_by"], receipt["generated"], receipt["not_reached"]) == ("cap", 2, 1)


def test_one_command_is_one_receipt_however_many_dagster_runs_it_takes(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(refuse=("fox",))
    duomi(home, "generate")
    shutil.rmtree(home / "logs")
    write_prompts(home, {"boat": "A blue boat", "tower": "A bell tower"})  # between them is what may not be passed over

    answer = json.loads(duomi(home, "generate", "--json").stdout)

    content = kept(home)
    assert len(dagster_runs(home, answer["receipt"]["run_id"])) == 2
    assert content["receipt"] == answer["receipt"]
    assert (content["receipt"]["generated"], content["receipt"]["door"]) == (2, "cli")
    assert content["receipt"]["spent"] == 0.2
    assert sorted(result["prompt_id"] for result in content["results"]) == ["json_boat", "json_tower"]
    said = log_lines(home)
    assert [line.split()[2] for line in said if line.startswith("run ")] == ["started:", "ended;"]
    assert len([line for line in said if ": generated in " in line]) == 2
    assert json.loads(duomi(home, "status", "--json").stdout)["last_run"]["id"] == content["receipt"]["run_id"]


def test_a_command_that_has_nothing_to_do_leaves_nothing_in_the_logs(home: Path) -> None:
    again = duomi(home, "generate", "--limit", "0")

    assert again.returncode == 0
    assert "Results:" not in again.stdout
    assert not (home / "logs").exists()


def test_ctrl_c_leaves_a_receipt_of_what_was_finished(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(latency=0.6)
    line, env = command(home, "generate", "--concurrency", "2")
    with started(line, env=env, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        wait_until(lambda: sandbox.books.totals().posts == 2, "two requests to be in flight")
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=30)

    assert run.returncode == 130
    assert "Stopped: Interrupted. Start again to go on" in out
    content = kept(home)
    assert (content["receipt"]["stopped_by"], content["receipt"]["not_reached"]) == ("interrupted", 2)
    assert [result["success"] for result in content["results"]] == [True, True]
