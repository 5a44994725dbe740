"""What the command line says of the last looks at the sources, and what it does where a source looks lost."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import duomi, pictures, write_prompts
from duomi_pipeline_tests.cli.quick import duomi as quick

USAGE = (Path(__file__).parents[2] / "docs/usage.md").read_text(encoding="utf-8")


def test_status_says_when_the_sources_were_looked_at_and_by_whom(home: Path) -> None:
    told = duomi(home, "status")
    found = json.loads(duomi(home, "status", "--json").stdout)["looks"]["files"]

    line = next(line for line in told.stdout.splitlines() if line.startswith("Source files: looked at 20"))
    assert f"by {os.uname().nodename}: 4 prompts, 0 left out ({home / 'out/prompt_json'})" in line
    assert (found["host"], found["prompts"], found["problem"]) == (os.uname().nodename, 4, None)


def test_on_a_host_without_the_folder_status_tells_what_the_register_knows(home: Path) -> None:
    assert duomi(home, "generate").returncode == 0
    (home / "out/prompt_json").rename(home / "elsewhere")

    told = duomi(home, "status")

    assert "4  current" in told.stdout
    assert "gives no prompt, but had 4 prompts before" in told.stderr


def test_prompts_of_another_folder_are_made_and_the_own_ones_stay(home: Path) -> None:
    other = home / "other"
    write_prompts(other, {"kite": "a red kite"})

    told = duomi(home, "generate", "--input-dir", str(other / "out/prompt_json"))

    assert told.returncode == 0, told.stderr
    assert [name.partition("_")[0] for name in pictures(home)] == ["kite"]
    assert '"missing": 4' in duomi(home, "plan", "--json").stdout


def test_a_dry_run_records_no_look(home: Path) -> None:
    assert duomi(home, "generate", "--dry-run").returncode == 0
    told = duomi(home, "status", DUOMI_PROMPT_DIR="none")
    assert "4 prompts" not in told.stdout


@pytest.mark.parametrize(
    ("name", "content", "longer"),
    [
        ("many.txt", "a kite\na train\n", "an owl\na kite\na train"),
        (
            "many.jsonl",
            '{"image_prompt": "a kite"}\n{"image_prompt": "a train"}',
            '"an owl"\n{"image_prompt": "a kite"}',
        ),
        ("many.json", '["a kite", {"image_prompt": "a train", "generation": {"seed": 7}}]', '["an owl", "a kite"]'),
        ("many.csv", 'image_prompt,x\n"a\nkite",1\na train,2\n', 'image_prompt,x\nan owl,3\n"a\nkite",1\n'),
    ],
)
def test_a_list_is_named_and_the_command_of_the_docs_makes_files_of_it_whose_ids_stay(
    home: Path, name: str, content: str, longer: str
) -> None:
    _, command = USAGE.split("```sh\npython3 - prompts.txt")
    command = f"python3 - {name}{command.partition('```')[0]}"
    folder = home / "out/prompt_json"
    (folder / name).write_text(content)
    told = quick(home, "plan")
    assert f"Left out: {name}: " in told.stderr
    assert 'docs/usage.md, "Prompts in other shapes", has the command' in told.stderr
    (folder / name).rename(home / name)

    subprocess.run(command, shell=True, cwd=home, check=True)
    first = {path.name for path in folder.glob("many_*.json")}
    planned = quick(home, "plan")
    (home / name).write_text(longer)
    subprocess.run(command, shell=True, cwd=home, check=True)

    assert len(first) == 2
    assert "6  missing" in planned.stdout
    assert "Left out" not in planned.stderr
    assert len({path.name for path in folder.glob("many_*.json")} - first) == 1


def test_a_subfolder_is_named_and_its_prompts_are_not_bought(home: Path, sandbox: SandboxServer) -> None:
    write_prompts(home / "out/prompt_json/styles", {"kite": "a red kite"})
    told = duomi(home, "generate")
    assert told.returncode == 0, told.stderr
    assert "Left out: styles/: not read: move its files up, or set DUOMI_PROMPT_DIR to it" in told.stderr
    assert sandbox.books.totals().posts == 4
