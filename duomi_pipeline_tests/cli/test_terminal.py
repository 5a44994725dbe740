"""What commands print, for any terminal: its width, its encoding, and none at all."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from duomi_pipeline.cli import cli
from duomi_pipeline.cli.console import print_states
from duomi_pipeline.engine import State
from duomi_pipeline.reporting.receipt import Receipt
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli import harness
from duomi_pipeline_tests.cli.harness import pictures, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.cli.test_interrupts import terminal

NARROW = 80
ANY_SCRIPT = "Ωmega 城市 café 🌇"
LOOKING = [
    ["plan"],
    ["plan", "--json"],
    ["status"],
    ["why", "json_fox"],
    ["why", "json_fox", "--json"],
    ["lint", "--diff"],
    ["lint", "--json"],
    ["models"],
    ["manifest"],
    ["gallery"],
    ["clean"],
    ["doctor", "--settings"],
    ["ledger", "rebuild"],
]


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All commands and groups, as their words after `duomi`."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_every_help_fits_a_narrow_terminal(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*path, "--help"], terminal_width=NARROW)
    assert shown.exit_code == 0, shown.output
    assert [line for line in shown.output.splitlines() if len(line) > NARROW] == []


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_every_help_has_examples(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*path, "--help"], terminal_width=NARROW).output
    assert f"  Examples:\n    {' '.join(('duomi', *path))}" in shown


@pytest.mark.parametrize("encoding", ["gbk", "cp1252"])
def test_every_command_prints_in_any_encoding(home: Path, encoding: str) -> None:
    write_prompts(home, {"fox": ANY_SCRIPT, "城市 café": "\u2028 4k, masterpiece, 夜市"})
    (home / "out" / "prompt_json" / "坏.json").write_text("{}")
    assert duomi(home, "generate", PYTHONIOENCODING=encoding).returncode == 0
    inspected = [f"out/generated_images/{name}" for name in pictures(home)]
    for arguments in (["generate", "--force", "--json"], ["inspect", *inspected], *LOOKING):
        run = duomi(home, *arguments, PYTHONIOENCODING=encoding)
        assert "Traceback" not in run.stderr, (arguments, run.stderr)
        assert run.returncode == (1 if arguments[0] == "lint" else 0), (arguments, run.stderr)
        if "--json" in arguments:
            assert json.loads(run.stdout)
    told = json.loads(duomi(home, "why", "json_fox", "--json", PYTHONIOENCODING=encoding).stdout)
    assert told["request"]["body"]["prompt"] == ANY_SCRIPT


def test_file_names_that_are_not_read_as_utf_8_stop_the_start(home: Path, sandbox: SandboxServer) -> None:
    write_prompts(home, {"城市": "A city"})
    assert duomi(home, "generate").returncode == 0
    run = harness.duomi(home, "generate", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert run.returncode == 2
    assert "File names are read as ascii here: set PYTHONUTF8=1" in run.stderr
    assert harness.duomi(home, "generate", LC_ALL="C").returncode == 0  # Python itself takes UTF-8 then
    assert sandbox.books.totals().posts == 5


def test_errors_are_sentences(home: Path) -> None:
    for arguments in (
        ["generate", "--wait"],
        ["generate", "--prompt", "x"],
        ["why", "db_9"],
        ["generate", "--seed", "-1"],
    ):
        said = duomi(home, *arguments).stderr.splitlines()[-1]
        assert said.endswith("."), said


def test_no_error_obeys_what_stands_in_marks_or_was_typed(home: Path) -> None:
    evil = "\x1b]0;owned\x07\u202e"
    marks = home / "marks.json"
    marks.write_text(json.dumps({"picks": ["json_fox", evil], "rejects": [evil], "pictures": {"json_fox": evil}}))
    for arguments in (
        ["generate", "--reroll", str(marks)],
        ["generate", "--reroll", f"{evil}.json"],
        ["generate", "--prompt-id", evil],
        ["keep", "--marks", str(marks)],
        ["keep", "json_fox", evil],
        ["why", evil],
        ["lint", "--prompt-id", evil],
    ):
        with terminal(home, *arguments) as shown:  # in a pipe click takes away what a terminal obeys
            shown.end()
        assert "owned" in shown.seen, arguments
        assert "\x1b]0;" not in shown.seen, arguments
        assert "\u202e" not in shown.seen, arguments


def test_the_picture_of_a_single_prompt_is_named(home: Path) -> None:
    run = duomi(home, "generate", "--source", "prompt", "--prompt", "A lighthouse at dawn")
    (name,) = pictures(home)
    assert f"Picture: {home / 'out' / 'generated_images' / name}" in run.stdout.splitlines()
    again = duomi(home, "generate", "--source", "prompt", "--prompt", "A lighthouse at dawn")
    assert f"Picture: {home / 'out' / 'generated_images' / name}" in again.stdout.splitlines()
    assert f"Pictures: {home / 'out' / 'generated_images'}" in duomi(home, "generate").stdout.splitlines()


def test_a_terminal_is_told_that_the_manifest_is_being_written(home: Path) -> None:
    with terminal(home, "generate", columns=NARROW) as shown:
        assert shown.end() == 0
    assert "4/4 pictures, writing the manifest" in shown.seen.partition("4 generated")[0]


def test_a_bar_of_thumbnails_is_shown_where_there_are_some_to_make(home: Path) -> None:
    duomi(home, "generate")
    with terminal(home, "gallery", columns=NARROW) as shown:
        assert shown.end() == 0
    with terminal(home, "gallery", columns=NARROW) as again:
        assert again.end() == 0
    assert "100%" in shown.seen
    assert "Thumbnails" not in again.seen


def test_large_numbers_are_written_alike(capsys: pytest.CaptureFixture[str]) -> None:
    print_states({State.CURRENT: 10_000}, [State.CURRENT])
    assert capsys.readouterr().out == "  10,000  current          the picture exists\n"
    counts = {"generated": 5188, "reused": 4812, "failed": {"refused": 1002}, "not_reached": 8832}
    about = {"run_id": "1", "trigger": "cli", "service": "sandbox", "started_at": 0, "ended_at": 9, "failures": ()}
    money = {"spent": None, "maybe_billed": 0, "maybe_spent": None, "currency": "CNY"}
    stop = {"stopped_by": None, "message": None, "left_out": 1300}
    lines = Receipt.from_json({**about, **counts, **money, **stop}).as_text().splitlines()
    assert lines[0].startswith("5,188 generated, 4,812 reused, 1,002 failed, 8,832 not reached in 9.0 s")
    assert "Failed: 1,002 refused" in lines
    assert "Next: Rows or files without a prompt: 1,300. `duomi doctor` names them." in lines


def test_progress_in_a_pipe_is_lines_with_money_speed_and_time_left(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(refuse=("fox",))
    said = duomi(home, "generate").stderr
    assert "\x1b" not in said
    assert "\r" not in said
    (first,) = [line for line in said.splitlines() if line.startswith("1/4")]
    assert "left" not in first, "one picture tells no pace"
    last = next(line for line in reversed(said.splitlines()) if line.startswith("4/4"))
    parts = last.split(", ")
    assert (parts[0], parts[2:]) == ("4/4 pictures", ["0.30 CNY", "1 failed", "0:00:00 left"])
    assert parts[1].endswith("/s")
