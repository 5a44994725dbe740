"""Overrides recorded beside the sources."""

import json
from pathlib import Path

import pytest

from duomi_pipeline.prompts import SourceError, read_sources
from duomi_pipeline.prompts.overrides import record_overrides
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.settings import Settings

FILE = "out/overrides.json"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "out/prompt_json"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text('{"image_prompt": "a boat", "generation": {"seed": 1, "guidance_scale": 9}}')
    (folder / "b.json").write_text('{"image_prompt": "a fox"}')
    return tmp_path


def look(home: Path) -> Sources:
    return read_sources(Settings.load(home))


def test_a_recorded_seed_wins_over_the_prompts_own_and_leaves_its_other_values(home: Path) -> None:
    before = {prompt.id: prompt.version for prompt in look(home).prompts}
    record_overrides(home / FILE, {"json_a": {"seed": 42}})
    a, b = look(home).prompts
    assert a.overrides.explicit() == {"seed": 42, "guidance_scale": 9.0}
    assert (a.version != before["json_a"], b.version) == (True, before["json_b"])


def test_recording_adds_to_what_is_there(home: Path) -> None:
    (home / FILE).write_text('{"json_b": {"negative_prompt": "text", "seed": 1}}')
    record_overrides(home / FILE, {"json_b": {"seed": 7}})
    record_overrides(home / FILE, {"json_a": {"seed": 8}})
    assert json.loads((home / FILE).read_text()) == {
        "json_a": {"seed": 8},
        "json_b": {"negative_prompt": "text", "seed": 7},
    }


def test_a_bad_entry_leaves_out_its_prompt_alone_and_does_not_retire_it(home: Path) -> None:
    (home / FILE).write_text('{"json_a": {"seed": -1}, "json_b": {"seed": 3}}')
    found = look(home)
    assert [prompt.id for prompt in found.prompts] == ["json_b"]
    assert [problem.origin for problem in found.problems if "seed" in problem.reason] == ["a.json"]
    assert not found.may_retire("json_a")


@pytest.mark.parametrize("content", ["{", "[]", '"x"', "\xff"])
def test_a_file_that_cannot_be_used_leaves_out_everything_and_retires_nothing(home: Path, content: str) -> None:
    (home / FILE).write_bytes(content.encode("latin-1"))
    found = look(home)
    assert found.prompts == ()
    assert any("overrides.json" in problem.reason for problem in found.problems)
    assert not found.may_retire("json_a")
    with pytest.raises(SourceError, match=r"overrides\.json"):
        record_overrides(home / FILE, {"json_a": {"seed": 1}})
    assert (home / FILE).read_bytes() == content.encode("latin-1")
