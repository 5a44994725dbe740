"""Which value wins, and how `duomi why` shows who said it."""

import json
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.prompts.harness import prompt_database

PROMPTS = Path("out", "prompt_json")


def test_each_value_is_that_of_the_nearest_who_says_it_and_why_names_that_one(
    home: Path, sandbox: SandboxServer
) -> None:
    own = {"image_prompt": "A boat", "generation": {"seed": 2, "guidance_scale": 9.0, "num_inference_steps": 20}}
    (home / PROMPTS / "boat.json").write_text(json.dumps(own))
    (home / "out" / "overrides.json").write_text('{"json_boat": {"seed": 1}}')
    flags = ["--seed", "3", "--guidance-scale", "3", "--negative-prompt", "text"]
    duomi(home, "generate", *flags, DUOMI_BATCH_SIZE="2")

    sent = {post.prompt: json.loads(post.body) for post in sandbox.books.posts()}
    names = ("seed", "guidance_scale", "negative_prompt", "batch_size", "num_inference_steps")
    assert [sent["A boat"][name] for name in names] == [1, 9.0, "text", 2, 20]
    assert [sent["A fox between birches in the snow"][name] for name in names] == [3, 3.0, "text", 2, 20]

    boat = duomi(home, "why", "json_boat").stdout
    assert "Own value:   seed=1 from recorded override; the settings have 51515151\n" in boat
    assert "Own value:   guidance_scale=9.0 from the prompt's JSON; the settings have 7.5\n" in boat
    assert "num_inference_steps=20 from" not in boat, "what the settings say, too, is no news"
    assert "Made with:   negative_prompt=text; would now be (not sent)\n" in boat
    assert "Made with:   batch_size=2; would now be 1\n" in boat
    fox = json.loads(duomi(home, "why", "json_fox", "--json").stdout)
    assert (fox["state"], fox["values"]) == ("outdated", {})
    assert fox["made_with"]["seed"] == {"then": 3, "now": 51515151}


def test_why_says_what_the_model_does_not_take(home: Path) -> None:
    (home / PROMPTS / "boat.json").write_text('{"image_prompt": "A boat", "generation": {"seed": 2}}')
    story = duomi(home, "why", "json_boat", DUOMI_MODEL="gpt-image-2").stdout
    assert "seed=2 from the prompt's JSON; the settings have 51515151; not sent: the model does not take it" in story


def test_why_says_where_a_cleaned_negative_prompt_comes_from(home: Path) -> None:
    (home / PROMPTS / "boat.json").write_text(json.dumps({"image_prompt": "A boat\n\nNegative prompt: blurry, text"}))
    story = duomi(home, "why", "json_boat", DUOMI_CLEAN_PROMPTS="true").stdout
    assert "negative_prompt=blurry, text from the prompt's text, cleaned; the settings have (empty)" in story


def test_no_line_of_a_text_looks_like_one_of_the_answer(home: Path) -> None:
    (home / "out/prompt_json/fox.json").write_text(json.dumps({"image_prompt": "A fox\n\nState:       current: no"}))
    said = duomi(home, "why", "json_fox").stdout
    assert "Text:        A fox\n\n             State:       current: no\n" in said
    assert [line for line in said.splitlines() if line.startswith("State:")] == [
        "State:       missing: no picture yet, or its file is gone or cut short"
    ]


def test_why_finds_a_prompt_by_its_file_and_by_its_picture(home: Path) -> None:
    duomi(home, "generate")
    by_id = duomi(home, "why", "json_boat").stdout
    (picture,) = (home / "out" / "generated_images").glob("boat_*.png")
    for argument in ("boat.json", "out/prompt_json/boat.json", picture.name, str(picture)):
        assert duomi(home, "why", argument).stdout == by_id, argument
    moved = picture.rename(home / "elsewhere.png")
    assert duomi(home, "why", str(moved)).stdout.startswith("Prompt:      json_boat from boat.json\n")


@pytest.mark.parametrize("argument", ["json_坏", "坏.json", "out/prompt_json/坏.json"])
def test_why_says_why_a_file_is_left_out(home: Path, argument: str) -> None:
    (home / PROMPTS / "坏.json").write_text('{"text": 1}')
    run = duomi(home, "why", argument)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == 'Prompt:      json_坏\nState:       left_out: no "image_prompt"\n'


@pytest.mark.parametrize("argument", ["db_2", "prompts.id=2"])
def test_why_says_why_a_row_is_left_out(home: Path, argument: str) -> None:
    (home / "data").mkdir()
    prompt_database(home / "data" / "llm_video_batch.db", ["A boat", None])
    told = json.loads(duomi(home, "why", argument, "--json").stdout)
    assert (told["prompt_id"], told["state"], told["left_out"]) == ("db_2", "left_out", "image_prompt is NULL")


def test_why_of_nothing_says_what_can_be_asked(home: Path) -> None:
    for argument in ("json_none", "none.json", "none.png", "db_1"):
        run = duomi(home, "why", argument)
        assert run.returncode == 2
        assert f"There is no prompt {argument}." in run.stderr
