"""What was read from prompt files that have not changed since."""

import os
import time
from pathlib import Path

import pytest

from duomi_pipeline.prompts import file_cache as memory_module
from duomi_pipeline.prompts.json_files import read_folder
from duomi_pipeline.prompts.prompt import Prompt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "prompts"
    found.mkdir()
    return found


def write(path: Path, text: str, age: float = 60.0) -> None:
    path.write_text(f'{{"image_prompt": "{text}", "generation": {{"seed": 7}}}}')
    os.utime(path, (time.time() - age,) * 2)


def look(folder: Path) -> dict[str, Prompt]:
    """As a process does that has just started."""
    memory_module._seen.clear()
    return {prompt.id: prompt for prompt in read_folder(folder, memory=folder.parent / "out" / "known.db").prompts}


def unreadable(path: Path) -> None:
    """Other bytes of the same size and time: whoever reads them finds no prompt."""
    seen = path.stat()
    path.write_bytes(b"x" * seen.st_size)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def test_unchanged_files_are_not_read_again_by_another_process(folder: Path) -> None:
    write(folder / "a.json", "a boat")
    write(folder / "b.json", "a fox")
    first = look(folder)
    unreadable(folder / "a.json")
    assert look(folder) == first
    assert first["json_a"].overrides.seed == 7


def test_a_changed_file_is_read_and_a_deleted_one_is_forgotten(folder: Path) -> None:
    for name in "abc":
        write(folder / f"{name}.json", f"picture {name}")
    look(folder)
    write(folder / "a.json", "another one", age=30.0)
    (folder / "b.json").unlink()
    found = look(folder)
    assert {key: prompt.text for key, prompt in found.items()} == {"json_a": "another one", "json_c": "picture c"}


def test_a_file_written_just_now_may_change_again_within_its_time_and_is_not_remembered(folder: Path) -> None:
    write(folder / "a.json", "a boat", age=0.0)
    look(folder)
    unreadable(folder / "a.json")
    assert look(folder) == {}


def test_a_memory_that_cannot_be_used_costs_nothing_but_time(folder: Path) -> None:
    write(folder / "a.json", "a boat")
    first = look(folder)
    (folder.parent / "out" / "known.db").write_bytes(b"not a database")
    assert look(folder) == first
    (folder.parent / "out" / "known.db").unlink()
    (folder.parent / "out" / "known.db").mkdir()
    assert look(folder) == first


def test_a_name_that_is_no_text_keeps_no_other_file_from_being_remembered(folder: Path) -> None:
    write(folder / "a.json", "a boat")
    write(folder / os.fsdecode(b"\xff.json"), "a fox")
    first = look(folder)
    unreadable(folder / "a.json")
    assert (look(folder), len(first)) == (first, 2)
