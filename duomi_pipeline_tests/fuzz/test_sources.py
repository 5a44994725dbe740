"""Any folder, table and file of overrides: each file and row is a prompt or a named problem."""

import re
import sqlite3
import tempfile
import unicodedata
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from duomi_pipeline.common.text import is_prompt_id
from duomi_pipeline.images import ImageStore
from duomi_pipeline.prompts import Prompt, Reading, SourceError
from duomi_pipeline.prompts.json_files import read_folder
from duomi_pipeline.prompts.overrides import read_overrides
from duomi_pipeline.prompts.prompt import safe_prefix
from duomi_pipeline.prompts.table import fetch_rows, table_prompts
from duomi_pipeline_tests.fuzz import strategies as outside
from duomi_pipeline_tests.fuzz.harness import examples
from duomi_pipeline_tests.prompts.harness import prompt_database
from duomi_pipeline_tests.prompts.test_hostile import LOOSE

LATER = 4_000_000_000.0  # seconds since 1970: no file is still being written
NOW = datetime(2026, 3, 4, tzinfo=UTC)


def check(reading: Reading) -> None:
    """What every reading must be."""
    ids = [prompt.id for prompt in reading.prompts]
    assert len(set(ids)) == len(ids)
    for prompt in reading.prompts:
        check_prompt(prompt)
    for problem in reading.problems:
        assert str(problem).isprintable()
        assert f"{problem.origin}{problem.reason}".encode()
        assert problem.reason
        assert len(str(problem)) < 12_000, "ten characters for one that is written out"


def check_prompt(prompt: Prompt) -> None:
    assert prompt.id.startswith(("db_", "json_"))
    assert is_prompt_id(prompt.id)
    assert len(prompt.id.encode()) <= 200
    assert unicodedata.is_normalized("NFC", prompt.id)
    assert prompt.text.strip()
    assert f"{prompt.text}{prompt.origin}{prompt.name}{prompt.overrides.explicit()}".encode()
    assert prompt.file_prefix
    assert not re.search(r"[/\\\x00-\x1f\x7f-\x9f]|^\.", prompt.file_prefix)
    assert len(prompt.file_prefix.encode()) <= 200
    assert prompt.version


@given(st.dictionaries(outside.names, outside.prompt_files, max_size=5))
def test_each_file_is_a_prompt_or_a_problem(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stem, content in files.items():
            (folder / f"{stem}.json").write_bytes(content)
        before = sorted(path.name for path in folder.iterdir())
        reading = read_folder(folder, now=LATER)
        check(reading)
        seen = [path for path in before if not path.startswith(".")]
        assert len(reading.prompts) + len(reading.problems) == len(seen)
        assert sorted(path.name for path in folder.iterdir()) == before


@given(outside.overrides)
def test_any_overrides_are_parameters_or_named(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "overrides.json"
        path.write_bytes(content)
        try:
            found = read_overrides(path)
        except SourceError as error:
            assert "overrides.json" in str(error)
            return
        assert found.by_id.keys().isdisjoint(found.bad)
        assert all(reason.isprintable() and reason for reason in found.bad.values())


@given(outside.rows)
def test_each_row_is_a_prompt_or_a_problem(rows: list[tuple[object, object, object, object]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.db"
        with closing(sqlite3.connect(path)) as db:
            db.executescript(LOOSE)
            db.executemany("INSERT INTO prompts VALUES (?, ?, ?)", [row[:3] for row in rows])
            db.executemany("INSERT INTO images VALUES (?, NULL, ?)", [(row[1], row[3]) for row in rows[:1]])
            db.commit()
        for naming in ("id", "descriptive"):
            reading = table_prompts(fetch_rows(path), naming)
            check(reading)
            assert len(reading.prompts) + len(reading.problems) >= len(rows)


@cache
def whole_database() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        return prompt_database(Path(name) / "x.db", ["a" * 300] * 40, ["b"] * 40).read_bytes()


@given(st.lists(st.tuples(st.integers(0, 40_000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6))
def test_a_damaged_database_is_read_or_named(changes: list[tuple[int, bytes]]) -> None:
    content = bytearray(whole_database())
    for at, new in changes:
        content[at % len(content) : at % len(content) + len(new)] = new
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.db"
        path.write_bytes(content)
        try:
            check(table_prompts(fetch_rows(path, lock_wait=0.1)))
        except SourceError as error:
            assert str(path) in str(error)
            assert str(error).isprintable()
        assert [found.name for found in Path(name).iterdir()] == ["x.db"]


@given(st.lists(outside.texts, min_size=1, max_size=4))
@settings(max_examples=examples(0.6))
def test_a_picture_of_any_name_lies_in_its_folder(stems: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "a/b/c"
        store = ImageStore(UPath(folder))
        for stem in stems:
            (file,) = store.names(safe_prefix(stem), NOW, 1)
            store.save(file, b"picture")
        assert len(list(folder.iterdir())) == len(stems)
        assert len([path for path in Path(name).rglob("*") if path.is_file()]) == len(stems)
