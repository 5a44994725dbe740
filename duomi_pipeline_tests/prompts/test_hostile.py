"""Files, names and databases that are out to do harm: a named problem each, in one line; never a crash or a wait."""

import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.prompts import Problem, Reading, SourceError
from duomi_pipeline.prompts.json_files import read_folder
from duomi_pipeline.prompts.overrides import read_overrides
from duomi_pipeline.prompts.prompt import MAX_TEXT, safe_prefix
from duomi_pipeline.prompts.table import fetch_rows, table_prompts
from duomi_pipeline.settings import ParameterOverrides
from duomi_pipeline_tests.prompts.harness import NOW, SCHEMA, prompt_database, prompt_file

GOOD = {"image_prompt": "a boat"}
SECRET = "sk-very-secret"
WRONG = [
    True,
    False,
    [],
    [1],
    {},
    {"a": 1},
    float("nan"),
    float("inf"),
    -float("inf"),
    10**4_000,
    "\ud83d",
    "x" * 100_000,
]
WORDS = ["", "many", "1,5"]
TEXTS = ("model", "negative_prompt")


def problem_of(folder: Path, content: object) -> str:
    """Why a file gives no prompt; checked to be one line of sensible length."""
    prompt_file(folder, "bad.json", content)
    reading = read_folder(folder, now=NOW)
    assert reading.prompts == ()
    (problem,) = reading.problems
    assert str(problem).isprintable()
    assert len(problem.reason) < 1_000
    return problem.reason


# --- files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ParameterOverrides.model_fields)
def test_a_value_of_the_wrong_type_is_named_with_its_field(tmp_path: Path, field: str) -> None:
    wrong = [*WRONG, *([] if field in TEXTS else WORDS), *([] if field == "guidance_scale" else [1.5])]
    for value in wrong:
        reason = problem_of(tmp_path, {**GOOD, "generation": {field: value}})
        assert reason.startswith(f"{field}="), reason


@pytest.mark.parametrize("value", [0, 1, False, True, "", "seed=1", [], [{"seed": 1}]])
def test_generation_must_be_an_object(tmp_path: Path, value: object) -> None:
    assert problem_of(tmp_path, {**GOOD, "generation": value}) == '"generation" is not an object'


@pytest.mark.parametrize("value", [0, False, True, [], {}, 1.5])
def test_a_negative_prompt_must_be_text(tmp_path: Path, value: object) -> None:
    assert problem_of(tmp_path, {**GOOD, "negative_prompt": value}).startswith("negative_prompt=")


def test_the_value_of_an_unknown_name_is_not_told(tmp_path: Path) -> None:
    reason = problem_of(tmp_path, {**GOOD, "generation": {"api_key": SECRET}})
    assert 'there is no parameter "api_key"; there are model, ' in reason
    assert SECRET not in reason


@pytest.mark.parametrize("name", ["\x1b[2J", "\ud83d", "a\nb", "x" * 100_000, "", "\u202e"])
def test_an_unknown_name_is_told_on_one_line(tmp_path: Path, name: str) -> None:
    assert problem_of(tmp_path, {**GOOD, "generation": {name: 1}})


@pytest.mark.parametrize("depth", [900, 950, 970, 985, 1_000, 100_000])
@pytest.mark.parametrize(("opening", "closing_"), [("[", "]"), ('{"a":', "}")])
def test_nesting_of_any_depth_is_named(tmp_path: Path, opening: str, closing_: str, depth: int) -> None:
    nested = opening * depth + "1" + closing_ * depth
    for place in ('{"image_prompt": %s}', '{"image_prompt": "a", "generation": {"seed": %s}}'):
        assert problem_of(tmp_path, (place % nested).encode())


def test_a_file_of_20_mb_is_named_and_not_read(tmp_path: Path) -> None:
    path = prompt_file(tmp_path, "large.json", b"")
    os.truncate(path, 20_000_000)
    (problem,) = read_folder(tmp_path, now=NOW).problems
    assert problem == Problem("large.json", "larger than 4 MB")


def test_a_text_that_is_no_prompt_for_its_length_is_named(tmp_path: Path) -> None:
    prompt_file(tmp_path, "good.json", {"image_prompt": "x" * MAX_TEXT})
    prompt_file(tmp_path, "long.json", {"image_prompt": "x" * (MAX_TEXT + 1)})
    reading = read_folder(tmp_path, now=NOW)
    assert [prompt.id for prompt in reading.prompts] == ["json_good"]
    assert [problem.origin for problem in reading.problems] == ["long.json"]
    assert [p.id for p in table_prompts(fetch_rows(prompt_database(tmp_path / "x.db", ["x" * (MAX_TEXT + 1), "a"]))).prompts] == ["db_2"]  # fmt: skip


@pytest.mark.parametrize(
    "target", ["/dev/zero", "/dev/stdin", "/proc/self/mem", "/proc/self/environ", "/", ".", "x.json/.."]
)
def test_a_link_to_anything_else_is_named_and_not_waited_for(tmp_path: Path, target: str) -> None:
    if target.startswith("/proc") and not Path(target).exists():
        pytest.skip("this system has no /proc")
    prompt_file(tmp_path, "good.json", GOOD)
    (tmp_path / "x.json").symlink_to(target)
    reading = read_folder(tmp_path)
    assert [prompt.id for prompt in reading.prompts] == ["json_good"]
    assert reading.present == {"json_x"}
    assert all(problem.origin == "x.json" and str(problem).isprintable() for problem in reading.problems)


def test_a_name_cannot_do_anything_to_the_terminal_that_its_problem_is_shown_on(tmp_path: Path) -> None:
    prompt_file(tmp_path, "\x1b]0;owned\x07\n\x9b31m\u202e.json", [])
    (problem,) = read_folder(tmp_path, now=NOW).problems
    assert str(problem).startswith("\\x1b]0;owned\\x07 \\x9b31m\\u202e.json: holds a list of 0, not an object: ")


@pytest.mark.parametrize("name", ["\x9b31m", "a\u202egnp.exe", "a\u2028b", "\u2066x", "\x85"])
def test_a_picture_is_not_named_with_marks_that_a_terminal_or_reader_obeys(name: str) -> None:
    assert safe_prefix(name).isprintable()


# --- recorded overrides -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    ["true", "[]", '"seed"', "5", "null", '{"seed": true}', '{"api_key": "sk-very-secret"}', "[" * 900 + "]" * 900],
)
def test_an_override_that_cannot_be_used_is_named_in_one_line(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "overrides.json"
    path.write_text(f'{{"json_a": {entry}, "json_b": {{"seed": 1}}}}')
    found = read_overrides(path)
    assert list(found.by_id) == ["json_b"]
    assert found.bad["json_a"].isprintable()
    assert len(found.bad["json_a"]) < 1_000
    assert SECRET not in found.bad["json_a"]


# --- the table ----------------------------------------------------------------------------------------

LOOSE = (
    "CREATE TABLE images (id, original_filename, descriptive_name); CREATE TABLE prompts (id, image_id, image_prompt);"
)


def loose_database(path: Path, rows: list[tuple[object, object, object]], images: list[object]) -> Reading:
    """Tables without keys and types."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(LOOSE)
        db.executemany("INSERT INTO prompts VALUES (?, ?, ?)", rows)
        db.executemany("INSERT INTO images VALUES (?, 'a.jpg', 'a')", [(one,) for one in images])
        db.commit()
    return table_prompts(fetch_rows(path))


def test_ids_of_text_are_reduced_to_safe_partition_keys(tmp_path: Path) -> None:
    ids = ["a", "../../etc", "x\n\x1b[31m", "é" * 300, "'; DROP TABLE prompts; --", 7, -1, 2**63 - 1]
    reading = loose_database(tmp_path / "x.db", [(one, 1, f"prompt {one}") for one in ids], [1])
    assert len(reading.prompts) == len(ids)
    assert len({prompt.id for prompt in reading.prompts}) == len(ids)
    assert all(re.fullmatch(r"db_[A-Za-z0-9_-]{1,97}", prompt.id) for prompt in reading.prompts)
    assert {"db_a", "db_7", "db_-1"} <= {prompt.id for prompt in reading.prompts}
    assert not any(re.search(r"[/\x00-\x1f]", prompt.file_prefix) for prompt in reading.prompts)


@pytest.mark.parametrize("row_id", [None, b"\xff\x00", 1.5, ""])
def test_a_row_with_an_id_that_is_none_is_named(tmp_path: Path, row_id: object) -> None:
    reading = loose_database(tmp_path / "x.db", [(row_id, 1, "a"), (2, 1, "b")], [])
    assert [prompt.id for prompt in reading.prompts] == ["db_2"]
    (problem,) = reading.problems
    assert "id" in problem.reason
    assert str(problem).isprintable()


def test_an_id_that_stands_twice_is_one_prompt_and_named(tmp_path: Path) -> None:
    reading = loose_database(tmp_path / "x.db", [(1, 5, "a"), ("1", 5, "b"), (2, 6, "c")], [5, 5, 6])
    assert sorted((prompt.id, prompt.text) for prompt in reading.prompts) == [("db_1", "a"), ("db_2", "c")]
    assert {problem.reason for problem in reading.problems} == {"an earlier row has the same id"}


@pytest.mark.parametrize("image_id", ["seven", b"\x00", 1.5, None, 2**62])
def test_an_image_id_that_points_nowhere_is_no_matter(tmp_path: Path, image_id: object) -> None:
    (prompt,) = loose_database(tmp_path / "x.db", [(1, image_id, "a")], [1]).prompts
    assert prompt.text == "a"
    assert prompt.image_id is None or prompt.image_id == image_id


@pytest.mark.parametrize("value", [5, 1.5, b"text", "\x00a", "\ufffd", "x\x00y\x1b[31m"])
def test_a_prompt_is_text_or_a_named_problem(tmp_path: Path, value: object) -> None:
    reading = loose_database(tmp_path / "x.db", [(1, 1, value)], [])
    assert [prompt.text for prompt in reading.prompts] == ([value] if isinstance(value, str) else [])
    assert len(reading.problems) == (0 if isinstance(value, str) else 1)


@pytest.mark.parametrize("at", [0, 16, 30, 100, 4_100, 8_192, -3_000])
def test_a_database_that_is_damaged_is_named_or_read(tmp_path: Path, at: int) -> None:
    path = prompt_database(tmp_path / "x.db", ["a" * 500] * 50)
    content = bytearray(path.read_bytes())
    content[at : at + 64 if at + 64 else None] = b"\xa5" * len(content[at : at + 64 if at + 64 else None])
    path.write_bytes(content)
    try:
        assert len(table_prompts(fetch_rows(path, lock_wait=0.1)).prompts) <= 50
    except SourceError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("damage", [b"\x80", b"\x1b[2J"])
def test_a_database_whose_schema_is_no_text_is_named(tmp_path: Path, damage: bytes) -> None:
    path = prompt_database(tmp_path / "x.db", ["a"])
    content = path.read_bytes()
    at = content.index(b"CREATE TABLE prompts") + len("CREATE TABLE ")
    path.write_bytes(content[:at] + damage + content[at + len(damage) :])
    with pytest.raises(SourceError) as caught:
        fetch_rows(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["pipe", "looping link", "dangling link", "device"])
def test_a_database_that_is_no_file_is_named_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.db"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"looping link": "x.db", "dangling link": "gone", "device": "/dev/zero"}[kind])
    with pytest.raises(SourceError, match="No database at"):
        fetch_rows(path)


def test_a_view_that_has_the_columns_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA.replace("TABLE prompts", "TABLE kept"))
        db.executescript("INSERT INTO kept VALUES (1, 1, 'a', ''); CREATE VIEW prompts AS SELECT * FROM kept")
    assert [prompt.id for prompt in table_prompts(fetch_rows(path)).prompts] == ["db_1"]


def test_a_database_without_a_row_gives_none(tmp_path: Path) -> None:
    assert table_prompts(fetch_rows(prompt_database(tmp_path / "x.db", []))) == Reading()


def test_json_that_was_written_by_hand_in_utf_16_is_named(tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        assert re.match("not (UTF-8|valid JSON)", problem_of(tmp_path, json.dumps(GOOD).encode(encoding)))
