"""What the command line says of the last looks at the sources, and what it does where a source looks lost."""

import json
import os
from pathlib import Path

from duomi_pipeline_tests.cli.harness import duomi, pictures, write_prompts


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
