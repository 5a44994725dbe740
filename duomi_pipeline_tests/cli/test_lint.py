"""`duomi lint` and `duomi why`: what a model will misread, what cleaning would send, and what it would cost."""

import json
import os
import pty
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.engine.home import SIZE, Home
from duomi_pipeline_tests.processes import started

DOCS = (Path(__file__).parents[2] / "docs" / "prompt_care.md").read_text(encoding="utf-8")
MESSY = "**Prompt:** A fox in the snow\n\nNegative prompt: blurry, text"
# Colours and a title for the terminal, and a mark that turns the reading direction.
HOSTILE = "**Prompt:** A \x1b]0;owned\x07\x1b[31mfox\x9b2J \u202egnp.exe"


@pytest.fixture
def messy(tmp_path: Path, sandbox: SandboxServer) -> Path:
    """A home with one messy and one healthy prompt."""
    write_prompts(tmp_path, {"messy": MESSY, "healthy": "A clock tower above the fog"})
    (tmp_path / "duomi.toml").write_text(f'base_url = "{sandbox.url}"\nimage_size = "{SIZE}"\nprice_per_image = 0.1\n')
    return tmp_path


def test_lint_names_prompt_kind_and_words_shows_the_diff_and_ends_with_1(messy: Path) -> None:
    run = duomi(messy, "lint", "--diff")
    assert run.returncode == 1
    assert "json_messy (messy.json)\n" in run.stdout
    assert '  preamble: Talk about the prompt ("Prompt:")' in run.stdout
    assert "    [-**Prompt:** -]A fox in the snow[-\n\n    Negative prompt: blurry, text-]\n" in run.stdout
    assert "    negative_prompt: blurry, text\n" in run.stdout
    assert "json_healthy" not in run.stdout
    assert "1 of 2 prompts has findings." in run.stdout
    assert "       1  embedded_negative\n" in run.stdout
    assert "DUOMI_CLEAN_PROMPTS=true switches it on" in run.stdout
    assert "no picture would be outdated" in run.stdout


def test_the_example_of_the_docs_is_what_lint_prints(messy: Path) -> None:
    _, example = DOCS.split("$ duomi lint --diff\n")
    lines = example.split("```")[0]
    kept = (
        "A paper boat with a candle drifts over a **silver lake** at dusk, pine woods in the mist, vertical composition"
    )
    talk = "Sure! Here's a detailed image prompt for your scene:\n\n**Prompt:**"
    boat = f"{talk} {kept} --ar 9:16\n\nNegative prompt: text, watermark, people"
    write_prompts(messy, {"paper_boat": boat})
    assert lines in duomi(messy, "lint", "--diff", "--prompt-id", "json_paper_boat").stdout


def test_healthy_prompts_end_with_0(messy: Path) -> None:
    run = duomi(messy, "lint", "--prompt-id", "json_healthy")
    assert (run.returncode, run.stdout) == (0, "1 prompt, no findings.\n")
    unknown = duomi(messy, "lint", "--prompt-id", "db_77")
    assert unknown.returncode == 2
    assert "no prompt db_77" in unknown.stderr


def test_lint_counts_the_pictures_that_cleaning_would_outdate_and_their_price(
    messy: Path, sandbox: SandboxServer
) -> None:
    with closing(Home(messy, sandbox)) as home:
        home.run()
    run = duomi(messy, "lint")
    assert "1 picture would be outdated, and making them again would take 1 request: 0.10 CNY." in run.stdout
    assert sandbox.books.totals().posts == 2, "looking costs nothing"


def test_lint_notes_what_was_read_although_it_is_not_as_it_should_be(messy: Path) -> None:
    (messy / "out/prompt_json/fenced.json").write_text('```json\n{"prompt": "A clock tower in the snow"}\n```\n')
    run = duomi(messy, "lint", "--prompt-id", "json_fenced")
    assert (run.returncode, run.stdout) == (0, "1 prompt, no findings.\n")
    assert "Note: fenced.json: its JSON was read from within a code fence\n" in run.stderr
    assert 'Note: fenced.json: its text was read from "prompt": there is no "image_prompt"\n' in run.stderr
    assert len(json.loads(duomi(messy, "lint", "--json").stdout)["notes"]) == 2


def test_with_cleaning_on_what_is_sent_is_looked_at(messy: Path) -> None:
    run = duomi(messy, "lint", DUOMI_CLEAN_PROMPTS="true")
    assert run.returncode == 0
    assert "Cleaning is on: 1 prompt sent without" in run.stdout
    why = duomi(messy, "why", "json_messy", DUOMI_CLEAN_PROMPTS="true").stdout
    below = MESSY.replace("\n\n", "\n\n" + " " * 13)
    assert f"Text:        {below}\nSent:        A fox in the snow\n" in why
    assert "negative_prompt=blurry, text" in why


def test_json_holds_findings_for_the_model_of_each_prompt_and_both_texts(messy: Path) -> None:
    chinese = {"image_prompt": "夜市里的面摊，竖幅构图", "generation": {"model": "gpt-image-2"}}
    (messy / "out" / "prompt_json" / "own.json").write_text(json.dumps(chinese))
    write_prompts(messy, {"settings": "夜市里的面摊，竖幅构图"})
    run = duomi(messy, "lint", "--json", "--diff")
    answer = json.loads(run.stdout)
    assert (run.returncode, answer["healthy"]) == (1, False)
    assert answer["counts"] == {"markdown": 1, "preamble": 1, "embedded_negative": 1, "language": 1}
    (language,) = (finding for finding in answer["findings"] if finding["kind"] == "language")
    assert (language["prompt_id"], language["origin"]) == ("json_settings", "settings.json")
    assert (answer["cleaning"]["on"], answer["cleaning"]["changes"], answer["cleaning"]["cost"]) == (False, 1, 0.0)
    assert answer["changes"] == [
        {"prompt_id": "json_messy", "text": MESSY, "sent": "A fox in the snow", "negative_prompt": "blurry, text"}
    ]


def test_a_terminal_gets_colours_but_nothing_that_a_prompt_says_to_it(messy: Path) -> None:
    write_prompts(messy, {"messy": HOSTILE})
    seen = _on_a_terminal(messy, "lint", "--diff") + duomi(messy, "why", "json_messy").stdout
    assert "\x1b[31m\x1b[9m**Prompt:** \x1b[0mA \\u001b]0;owned\\u0007\\u001b[31mfox\\u009b2J \\u202egnp.exe" in seen
    assert "Sent:" not in seen, "cleaning is off"
    assert not any(mark in seen for mark in ("\x1b]0;", "\x9b", "\u202e", "\x07"))
    assert json.loads(duomi(messy, "lint", "--json", "--diff").stdout)["changes"][0]["text"] == HOSTILE


def _on_a_terminal(home: Path, *arguments: str) -> str:
    line, env = command(home, *arguments, TERM="xterm")
    master, slave = pty.openpty()
    seen = b""
    with started(line, env=env, cwd=home, stdout=slave, stderr=subprocess.DEVNULL):
        os.close(slave)
        while chunk := _read(master):
            seen += chunk
    os.close(master)
    return seen.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux says when the other end is closed
        return b""


def test_what_describes_no_picture_is_named_before_it_is_bought(home: Path, sandbox: SandboxServer) -> None:
    write_prompts(
        home, {"fox": "I'm sorry, but I can't help with that.", "boat": "Un cafÃ© \u200b", "tower": "\u200bㅤ⠀"}
    )
    for arguments in (["plan"], ["generate", "--dry-run"], ["generate"]):
        said = duomi(home, *arguments).stderr
        assert "No picture? json_fox: It reads like a language model that refuses" in said
        assert "No picture? json_boat: It was read in another encoding" in said
        assert 'Left out: tower.json: "image_prompt" shows nothing: all its characters are invisible' in said
    assert sandbox.books.totals().posts == 3
    run = duomi(home, "lint")
    assert "refusal: It reads like" in run.stdout
    assert "encoding: It was read" in run.stdout
    assert "tower.json" in run.stderr
