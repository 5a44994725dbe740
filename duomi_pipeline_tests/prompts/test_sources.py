"""Both sources together: one that cannot be read leaves the other usable, and retires nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from duomi_pipeline.prompts import read_sources, write_single_prompt
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.settings import ParameterOverrides, Settings
from duomi_pipeline_tests.prompts.harness import prompt_database, prompt_file

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)


def look(home: Path, **overrides: object) -> Sources:
    return read_sources(Settings.load(home, database="x.db", prompt_dir="json", **overrides))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "json").mkdir()
    prompt_file(tmp_path / "json", "boat.json", {"image_prompt": "a boat"})
    prompt_database(tmp_path / "x.db", ["a train", None], names=["station"])
    return tmp_path


def test_the_table_comes_before_the_files(home: Path) -> None:
    sources = look(home)
    assert [prompt.id for prompt in sources.prompts] == ["db_1", "json_boat"]
    assert [problem.origin for problem in sources.problems] == ["prompts.id=2"]
    assert sources.unreadable == {}


def test_the_setting_for_descriptive_names_reaches_the_table(home: Path) -> None:
    prefixes = [prompt.file_prefix for prompt in look(home, database_names="descriptive").prompts]
    assert prefixes == ["db_station", "boat"]


def test_a_database_that_cannot_be_read_leaves_the_files_and_retires_none_of_its_prompts(home: Path) -> None:
    (home / "x.db").unlink()
    sources = look(home)
    assert [prompt.id for prompt in sources.prompts] == ["json_boat"]
    assert str(home / "x.db") in sources.problems[0].reason
    assert not sources.may_retire("db_1")
    assert sources.may_retire("json_gone")


def test_without_a_database_at_its_default_place_files_are_enough(home: Path) -> None:
    sources = read_sources(Settings.load(home, prompt_dir="json"))
    assert [prompt.id for prompt in sources.prompts] == ["json_boat"]
    assert (sources.problems, sources.unreadable) == ((), {})
    assert not sources.may_retire("db_1"), "it may have been moved away, with the pictures of its prompts here"
    assert "No database at" in sources.why_absent("db_1")


def test_without_a_folder_of_files_the_table_is_enough(home: Path) -> None:
    sources = read_sources(Settings.load(home, database="x.db"))
    assert [prompt.id for prompt in sources.prompts] == ["db_1"]
    assert [problem.origin for problem in sources.problems] == ["prompts.id=2"]


@pytest.mark.parametrize("said", ["environment", ".env", "duomi.toml"])
def test_a_database_that_the_user_named_is_missed_wherever_it_was_named(
    home: Path, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = "data/llm_video_batch.db"  # to name it is to say that it is there
    if said == "environment":
        monkeypatch.setenv("DUOMI_DATABASE", default)
    elif said == ".env":
        (home / ".env").write_text(f"DUOMI_DATABASE={default}\n")
    else:
        (home / "duomi.toml").write_text(f'database = "{default}"\n')
    (problem,) = read_sources(Settings.load(home, prompt_dir="json")).problems
    assert problem.reason.startswith(f"No database at {home / default}")


def test_with_neither_database_nor_files_it_is_said_where_both_may_be(tmp_path: Path) -> None:
    (problem,) = read_sources(Settings.load(tmp_path)).problems
    for word in (tmp_path / "data/llm_video_batch.db", "DUOMI_DATABASE", tmp_path / "out/prompt_json"):
        assert str(word) in problem.reason


def test_a_folder_that_cannot_be_listed_leaves_the_table_and_retires_none_of_its_prompts(home: Path) -> None:
    (home / "json" / "boat.json").unlink()
    (home / "json").rmdir()
    (home / "json").write_text("not a folder")
    sources = look(home)
    assert [prompt.id for prompt in sources.prompts] == ["db_1"]
    assert not sources.may_retire("json_boat")
    assert sources.may_retire("db_9")


def test_a_prompt_whose_file_is_bad_for_now_is_not_retired(home: Path) -> None:
    prompt_file(home / "json", "boat.json", b"{")
    sources = look(home)
    assert not sources.may_retire("json_boat")
    assert sources.may_retire("json_gone")


@pytest.mark.parametrize("text", ["a boat", "雨夜的城市", 'say "hi"\n\\ <b>', "{}"])
def test_a_single_prompt_is_tracked_like_a_file(home: Path, text: str) -> None:
    folder, said = home / "json" / "new" / "folder", ParameterOverrides(seed=7, negative_prompt="blur")
    prompt_id = write_single_prompt(folder, text, said, MOMENT)
    (prompt,) = read_sources(Settings.load(home, prompt_dir=folder)).files.prompts
    assert prompt.id == prompt_id == "json_single_prompt_20260304_050607_089"
    assert (prompt.text, prompt.overrides) == (text, said)
    assert (prompt.source, prompt.file_prefix) == ("single_prompt", "single_prompt")
    assert prompt.origin == "single_prompt_20260304_050607_089.json"


def test_a_single_prompt_never_replaces_another(home: Path) -> None:
    prompt_id = write_single_prompt(home / "json", "first", ParameterOverrides(), MOMENT)
    with pytest.raises(FileExistsError):
        write_single_prompt(home / "json", "second", ParameterOverrides(), MOMENT)
    assert {prompt.id: prompt.text for prompt in look(home).files.prompts}[prompt_id] == "first"


def test_a_single_prompt_that_cannot_be_written_leaves_no_half_file(home: Path) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        write_single_prompt(home / "json", "bytes of a shell \udcff", ParameterOverrides(), MOMENT)
    assert [path.name for path in (home / "json").iterdir()] == ["boat.json"]
