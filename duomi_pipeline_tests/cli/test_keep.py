"""`duomi keep`, and pictures that a person asked for: both stay, whatever `--outdated` does."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, pictures, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.processes import started

OTHER_MODEL = "black-forest-labs/FLUX.1-dev"


def overrides(home: Path) -> dict[str, Any]:
    file = home / "out/overrides.json"
    return json.loads(file.read_text()) if file.exists() else {}


def in_use(home: Path, prompt_id: str = "json_fox") -> str:
    return Path(json.loads(duomi(home, "why", prompt_id, "--json").stdout)["current"][0]).name


def of(home: Path, stem: str) -> list[str]:
    return [name for name in pictures(home) if name.startswith(stem)]


def billed(sandbox: SandboxServer) -> int:
    return sandbox.books.totals().billed


def stays(home: Path, sandbox: SandboxServer, file: str) -> None:
    """Nothing puts another picture in the place of this one, and nothing is bought."""
    before = billed(sandbox)
    for flags in ((), ("--outdated",), ("--outdated", "--failed")):
        assert duomi(home, "generate", *flags).returncode == 0
    assert (in_use(home), billed(sandbox)) == (file, before)


@pytest.mark.parametrize(
    "flags", [("--seed", "42"), ("--model", OTHER_MODEL), ("--seed", "7", "--guidance-scale", "9")]
)
def test_a_picture_that_was_asked_for_is_the_prompts_own(
    home: Path, sandbox: SandboxServer, flags: tuple[str, ...]
) -> None:
    duomi(home, "generate")
    run = duomi(home, "generate", "--prompt-id", "json_fox", "--force", *flags)
    assert (run.returncode, billed(sandbox)) == (0, 5), run.stderr
    asked = of(home, "fox")[-1]
    stays(home, sandbox, asked)
    assert list(overrides(home)) == ["json_fox"]


def test_it_wins_over_the_prompts_own_json_as_the_later_word(home: Path, sandbox: SandboxServer) -> None:
    (home / "out/prompt_json/fox.json").write_text('{"image_prompt": "A fox", "generation": {"seed": 7}}')
    duomi(home, "generate", "--prompt-id", "json_fox", "--force", "--seed", "42")
    assert sandbox.books.posts()[-1].seed == 42


def test_a_run_over_prompts_that_nobody_named_records_nothing(home: Path) -> None:
    duomi(home, "generate", "--force", "--seed", "42")
    assert overrides(home) == {}


def test_a_dry_run_records_nothing_and_what_the_model_does_not_take_is_refused(
    home: Path, sandbox: SandboxServer
) -> None:
    assert duomi(home, "generate", "--prompt-id", "json_fox", "--force", "--seed", "42", "--dry-run").returncode == 0
    run = duomi(home, "generate", "--prompt-id", "json_fox", "--force", "--batch-size", "2", "--model", OTHER_MODEL)
    assert run.returncode == 2, run.stdout
    assert (overrides(home), billed(sandbox)) == ({}, 0)


def test_killed_after_the_choice_the_next_run_makes_that_picture_once(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    sandbox.change_faults(latency=30.0)
    line, env = command(home, "generate", "--prompt-id", "json_fox", "--force", "--seed", "42")
    with started(line, env=env, cwd=home) as process:
        wait_until(lambda: sandbox.books.totals().posts == 5, "the request")
        process.kill()
    assert overrides(home) == {"json_fox": {"seed": 42}}
    sandbox.change_faults(latency=0.0)
    assert duomi(home, "generate").returncode == 0
    stays(home, sandbox, of(home, "fox")[-1])
    assert json.loads(duomi(home, "why", "json_fox", "--json").stdout)["values"]["seed"]["value"] == 42


def versions(home: Path, sandbox: SandboxServer) -> list[str]:
    """A fox of another model, then one of the settings, which is in use, then one of another seed."""
    duomi(home, "generate", "--model", OTHER_MODEL)
    duomi(home, "generate", "--outdated")
    duomi(home, "generate", "--prompt-id", "json_fox", "--force", "--seed", "42")
    assert billed(sandbox) == 9
    return of(home, "fox")


def test_versions_are_listed_and_any_of_them_is_kept_at_no_cost(home: Path, sandbox: SandboxServer) -> None:
    files = versions(home, sandbox)
    lines = duomi(home, "keep", "json_fox").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert [file for file, line in zip(files, lines, strict=True) if file in line] == files
    assert [line.endswith("in use") for line in lines] == [False, False, True]
    assert OTHER_MODEL in lines[0]
    for which in (files[0], "2", files[2], "1"):
        run = duomi(home, "keep", "json_fox", which)
        assert run.returncode == 0, run.stderr
        stays(home, sandbox, files[int(which) - 1] if which.isdecimal() else which)
    assert billed(sandbox) == 9
    assert overrides(home)["json_fox"]["model"] == OTHER_MODEL


def test_what_is_kept_is_an_event_of_its_partition_in_dagster(home: Path, sandbox: SandboxServer) -> None:
    files = versions(home, sandbox)
    duomi(home, "keep", "json_fox", "1")
    with closing(sqlite3.connect(home / ".dagster_home/history/runs/index.db")) as index:
        (event,) = index.execute(
            "SELECT event FROM event_logs WHERE partition = 'json_fox' AND dagster_event_type = 'ASSET_MATERIALIZATION'"
            " ORDER BY id DESC LIMIT 1"
        ).fetchone()
    assert files[0] in event


def test_of_two_pictures_of_the_very_same_request_either_is_kept(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    duomi(home, "generate", "--prompt-id", "json_fox", "--force")
    first, second = of(home, "fox")
    assert in_use(home) == second
    assert duomi(home, "keep", "json_fox", first).returncode == 0
    stays(home, sandbox, first)
    assert overrides(home) == {}


def test_picked_versions_of_a_marks_file_are_kept(home: Path, sandbox: SandboxServer) -> None:
    files = versions(home, sandbox)
    boats = of(home, "boat")
    marks = home / "marks.json"
    shown = {"json_fox": files[1], "json_boat": boats[1], "json_gone": "gone.png"}
    marks.write_text(json.dumps({"picks": list(shown), "rejects": [], "pictures": shown}))
    run = duomi(home, "keep", "--marks", str(marks))
    assert run.returncode == 0, run.stderr
    assert "prompts that no longer exist: json_gone" in run.stderr
    assert "1 picked picture in use already" in run.stderr
    stays(home, sandbox, files[1])
    again = duomi(home, "keep", "--marks", str(marks))
    assert (again.returncode, again.stdout) == (0, "")


def test_a_version_of_another_text_is_refused_and_the_sentence_says_what_to_do(
    home: Path, sandbox: SandboxServer
) -> None:
    duomi(home, "generate")
    write_prompts(home, {"fox": "A red fox"})
    duomi(home, "generate")
    old, new = of(home, "fox")
    run = duomi(home, "keep", "json_fox", old)
    assert run.returncode == 1
    assert "made from another text. Put its text back into fox.json" in run.stderr
    assert (in_use(home), overrides(home)) == (new, {})


def test_a_damaged_or_unknown_version_changes_nothing(home: Path, sandbox: SandboxServer) -> None:
    files = versions(home, sandbox)
    before, used = overrides(home), in_use(home)
    picture = home / "out/generated_images" / files[0]
    data = picture.read_bytes()
    picture.write_bytes(data[:-20] + b"x" * 20)
    for which in (files[0], "9", "../ledger.db"):
        run = duomi(home, "keep", "json_fox", which)
        assert run.returncode in (1, 2), run.stdout
    assert (overrides(home), in_use(home), billed(sandbox)) == (before, used, 9)


def test_a_version_that_cannot_be_read_now_keeps_its_number_and_is_not_said_to_be_gone(
    home: Path, sandbox: SandboxServer
) -> None:
    files = versions(home, sandbox)
    before = overrides(home)
    (home / "out/generated_images" / files[0]).write_bytes(b"")  # a placeholder of a cloud drive
    listed = duomi(home, "keep", "json_fox").stdout.splitlines()
    assert [(line[0], files[number] in line) for number, line in enumerate(listed)] == [(n, True) for n in "123"]
    run = duomi(home, "keep", "json_fox", "1")
    assert (run.returncode, "placeholder" in run.stderr) == (1, True), run.stderr
    (home / "out/generated_images").rename(home / "out/elsewhere")
    (home / "out/generated_images").symlink_to("generated_images")  # a folder that cannot be listed
    run = duomi(home, "keep", "json_fox", "2")
    assert (run.returncode, "has no version" in run.stderr) == (1, False), run.stderr
    assert (overrides(home), billed(sandbox)) == (before, 9)


@pytest.mark.parametrize(
    "shown", [{"json_fox": ["a list"]}, {"json_fox": {}}, {"json_fox": "\ud800"}, {"json_fox": 1}, ["json_fox"]]
)
def test_a_file_that_is_no_marks_is_named(home: Path, shown: object) -> None:
    marks = home / "marks.json"
    marks.write_text(json.dumps({"picks": ["json_fox"], "rejects": [], "pictures": shown}))
    for line in (("keep", "--marks"), ("generate", "--reroll")):
        run = duomi(home, *line, str(marks))
        assert (run.returncode, "marks.json" in run.stderr, "Traceback" in run.stderr) == (2, True, False), run.stderr


def test_wrong_usage_is_named(home: Path) -> None:
    for line in ((), ("json_nobody", "1"), ("json_fox", "1", "--marks", "x.json"), ("--marks", "nothing.json")):
        assert duomi(home, "keep", *line).returncode == 2
