"""Two first starts at once in an empty home."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, duomi, pictures, write_prompts
from duomi_pipeline_tests.forks import Fork, be_duomi

SETTINGS = {"DUOMI_IMAGE_SIZE": "108x192"}


@pytest.mark.parametrize("round_", range(4))
def test_two_terminals_in_an_empty_home_both_work_and_buy_once(
    tmp_path: Path, sandbox: SandboxServer, round_: int
) -> None:
    write_prompts(tmp_path, {f"p{number}": f"picture {number} of {round_}" for number in range(3)})
    (_, *arguments), env = command(tmp_path, "generate", DUOMI_BASE_URL=sandbox.url, **SETTINGS)
    output = tmp_path / "told"
    both = [Fork(be_duomi, tmp_path, *arguments, output=output, environment=env) for _ in range(2)]

    assert [process.wait(90) for process in both] == [0, 0], output.read_text()
    assert len(pictures(tmp_path)) == 3
    assert sandbox.books.totals().posts == 3


def test_the_ui_and_a_terminal_in_an_empty_home_both_work(tmp_path: Path, sandbox: SandboxServer) -> None:
    write_prompts(tmp_path, {"boat": "A red boat"})
    line, env = command(tmp_path, "dev", "--port", "0", DUOMI_BASE_URL=sandbox.url)
    with subprocess.Popen(
        line, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as ui:
        assert ui.stdout
        made = duomi(tmp_path, "generate", DUOMI_BASE_URL=sandbox.url, **SETTINGS)
        serves = any("Instance is configured with the following daemons" in text for text in ui.stdout)
        ui.terminate()
        ui.stdout.read()

    assert made.returncode == 0, made.stderr
    assert serves
    assert len(pictures(tmp_path)) == 1


def test_a_start_that_was_killed_while_dagster_made_its_databases_is_no_end(tmp_path: Path) -> None:
    write_prompts(tmp_path, {"boat": "a boat"})
    history = tmp_path / ".dagster_home" / "history" / "runs"
    history.mkdir(parents=True)
    with closing(sqlite3.connect(history / "index.db")) as half_made:
        half_made.execute("CREATE TABLE event_logs (id INTEGER)")
    (tmp_path / ".dagster_home" / ".opening").touch()

    run = duomi(tmp_path, "generate", **SETTINGS)

    assert run.returncode == 0, run.stderr
    assert len(pictures(tmp_path)) == 1
