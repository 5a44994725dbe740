"""No home is left that no printed advice repairs: what the commands print after "Next:" leads to every picture."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, pictures
from duomi_pipeline_tests.cli.quick import duomi, shared

STARTS = 4  # within which everything must be well
PROMPTS = 4


def lose_the_folder(home: Path, _sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    shutil.rmtree(home / "out" / "generated_images")


def swap_the_folder(home: Path, _sandbox: SandboxServer) -> None:
    lose_the_folder(home, _sandbox)
    (home / "out" / "generated_images").mkdir()


def damage_the_ledger(home: Path, _sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    (home / "out" / "ledger.db").write_text("no ledger any more")


def lose_the_ledger(home: Path, _sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    for file in (home / "out").glob("ledger.db*"):
        file.unlink()


def empty_a_picture(home: Path, _sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    file = next((home / "out" / "generated_images").glob("*.png"))
    kept = file.read_bytes()
    file.write_bytes(b"")
    run = duomi(home, "generate")
    assert "restore their files" in run.stdout
    file.write_bytes(kept)


def have_it_busy(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(rate_503=1.0)
    duomi(home, "generate", DUOMI_MAX_ATTEMPTS="1")
    sandbox.change_faults(rate_503=0.0)


def lose_all_answers(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(rate_reset_after=1.0)
    for _ in range(3):
        duomi(home, "generate")
    sandbox.change_faults(rate_reset_after=0.0)


def set_a_cap(home: Path, _sandbox: SandboxServer) -> None:
    with (home / "duomi.toml").open("a") as settings:
        settings.write("max_images_per_run = 2\n")


def break_a_prompt_file(home: Path, _sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    shutil.rmtree(home / "out" / "gallery", ignore_errors=True)
    (home / "out" / "prompt_json" / "broken.json").write_text("{")


STORIES = (
    lose_the_folder,
    swap_the_folder,
    damage_the_ledger,
    lose_the_ledger,
    empty_a_picture,
    have_it_busy,
    lose_all_answers,
    set_a_cap,
    break_a_prompt_file,
)


def advised(text: str) -> list[str]:
    """The commands that an output says to run next."""
    next_lines = [line for line in text.splitlines() if line.startswith(("Next:", "Error:", "The ledger"))]
    quoted = [found for line in next_lines for found in re.findall(r"`(duomi (?:generate|ledger)[^`]*)`", line)]
    return [*quoted, *re.findall(r"from the pictures: (.*duomi ledger rebuild)", text)]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_printed_advice_leads_to_every_picture(
    home: Path, sandbox: SandboxServer, story: Callable[[Path, SandboxServer], None]
) -> None:
    story(home, sandbox)
    for _ in range(STARTS):
        run = duomi(home, "generate")
        if run.returncode == 0:
            break
        for line in advised(run.stdout + run.stderr)[:1]:
            _, environment = command(home)
            shared().shell(line, home, environment)

    assert run.returncode == 0, run.stdout + run.stderr
    assert len(pictures(home)) == PROMPTS
