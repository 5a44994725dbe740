"""What has not changed since the last look is not read again; whatever has, is seen."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.engine.looking import Looked, Manner, look, registered
from duomi_pipeline.ledger import Ledger
from duomi_pipeline.prompts.prompt import file_prompt_id
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.prompts.harness import prompt_database


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "out/prompt_json").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    with closing(Ledger("sqlite:///out/ledger.db", home)) as opened:
        yield opened


def write(home: Path, name: str, text: str, **more: object) -> Path:
    path = home / "out/prompt_json" / name
    path.write_text(json.dumps({"image_prompt": text, **more}))
    return path


def settle(*paths: Path) -> None:
    """Wait until a change of these files must give another time."""
    youngest = max(path.stat().st_ctime for path in paths)
    while time.time() - youngest <= 2.1:
        time.sleep(0.1)


def looked(ledger: Ledger, home: Path) -> tuple[Looked, dict[str, str]]:
    """A look, and the texts that the register has after it."""
    found = look(ledger, Settings.load(home))
    return found, {prompt.id: prompt.text for prompt in registered(ledger).prompts}


def read_ids(found: Looked) -> list[str]:
    return [prompt.id for prompt in found.sources.prompts]


def test_unchanged_files_are_not_read_again(ledger: Ledger, home: Path) -> None:
    settle(write(home, "a.json", "a boat", generation={"seed": 7}), write(home, "b.json", "a fox"))
    first, texts = looked(ledger, home)
    again, same = looked(ledger, home)
    assert (read_ids(first), read_ids(again)) == (["json_a", "json_b"], [])
    assert texts == same == {"json_a": "a boat", "json_b": "a fox"}
    assert registered(ledger).prompts[0].overrides.seed == 7


def test_an_edit_that_keeps_size_and_time_is_seen(ledger: Ledger, home: Path) -> None:
    path = write(home, "a.json", "a boat")
    settle(path)
    looked(ledger, home)
    before = path.stat()
    write(home, "a.json", "a goat")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert looked(ledger, home)[1] == {"json_a": "a goat"}


def test_a_file_written_just_now_is_read_once_more(ledger: Ledger, home: Path) -> None:
    write(home, "a.json", "a boat")
    looked(ledger, home)
    assert read_ids(looked(ledger, home)[0]) == ["json_a"]


def test_a_touched_file_changes_nothing_and_is_known_again(ledger: Ledger, home: Path) -> None:
    path = write(home, "a.json", "a boat")
    settle(path)
    looked(ledger, home)
    path.touch()
    settle(path)
    read, _ = looked(ledger, home)
    assert read_ids(read) == ["json_a"]
    assert {look.changes for look in ledger.register.last_looks().values()} == {0}
    assert read_ids(looked(ledger, home)[0]) == []


def test_files_that_are_gone_or_broken_are_noticed_beside_unchanged_ones(ledger: Ledger, home: Path) -> None:
    paths = [write(home, f"{name}.json", f"picture {name}") for name in "abc"]
    settle(*paths)
    looked(ledger, home)
    paths[0].unlink()
    paths[1].write_text("{ this is no JSON")
    os.utime(paths[1], (1e9, 1e9))
    found, texts = looked(ledger, home)
    assert texts == {"json_c": "picture c"}
    assert [problem.origin for problem in found.problems] == ["b.json"]
    write(home, "b.json", "picture b")
    assert looked(ledger, home)[1] == {"json_b": "picture b", "json_c": "picture c"}


def test_of_two_files_with_one_id_the_first_counts_also_if_it_comes_later(ledger: Ledger, home: Path) -> None:
    settle(write(home, "a.json", "the small one"))
    looked(ledger, home)
    upper = write(home, "a.JSON", "the large one")
    found, texts = looked(ledger, home)
    assert texts == {"json_a": "the large one"}
    assert [problem.origin for problem in found.problems] == ["a.json"]
    upper.unlink()
    assert looked(ledger, home)[1] == {"json_a": "the small one"}


def test_recorded_overrides_reach_unchanged_prompts_and_leave_them_again(ledger: Ledger, home: Path) -> None:
    settle(write(home, "a.json", "a boat"))
    looked(ledger, home)
    recorded = home / "out/overrides.json"
    for content, seed in (({"json_a": {"seed": 42}}, 42), ({"json_a": {"seed": 43}}, 43), ({}, None)):
        recorded.write_text(json.dumps(content))
        looked(ledger, home)
        assert registered(ledger).prompts[0].overrides.seed == seed


def test_two_names_with_one_id_do_not_take_turns(ledger: Ledger, home: Path) -> None:
    twin = f"{file_prompt_id('my fox').removeprefix('json_')}.json"
    settle(write(home, "my fox.json", "the first"), write(home, twin, "the second"))
    for _ in range(3):
        found, texts = looked(ledger, home)
        assert list(texts.values()) == ["the first"]
        assert [problem.origin for problem in found.problems] == [twin]


class TestTable:
    def test_a_look_at_another_folder_leaves_the_table_to_the_next_one(self, ledger: Ledger, home: Path) -> None:
        database = prompt_database(home / "data/llm_video_batch.db", ["a boat", "a fox"])
        looked(ledger, home)
        with closing(sqlite3.connect(database)) as table, table:
            table.execute("DELETE FROM prompts WHERE id = 1")
            table.execute("INSERT INTO prompts VALUES (3, 3, 'a crow', '')")
        settle(database)
        (home / "other").mkdir()
        look(ledger, Settings.load(home, prompt_dir=home / "other"), Manner.VISITING)
        for _ in range(2):
            assert looked(ledger, home)[1] == {"db_2": "a fox", "db_3": "a crow"}

    def test_a_row_with_a_bad_override_is_not_gone_in_an_unchanged_table(self, ledger: Ledger, home: Path) -> None:
        database = prompt_database(home / "data/llm_video_batch.db", ["a boat", "a fox"])
        looked(ledger, home)
        recorded = home / "out/overrides.json"
        recorded.write_text('{"db_1": {"seed": "nonsense"}}')
        settle(database, recorded)
        for _ in range(3):
            looked(ledger, home)
            assert {p.prompt_id: p.standing.value for p in ledger.register.prompts()} == {
                "db_1": "unusable",
                "db_2": "active",
            }

    def test_of_two_rows_with_one_id_the_one_that_cannot_be_read_takes_nothing_from_the_other(
        self, ledger: Ledger, home: Path
    ) -> None:
        with closing(sqlite3.connect(home / "data/llm_video_batch.db")) as table, table:
            table.execute("CREATE TABLE images (id, original_filename, descriptive_name)")
            table.execute("CREATE TABLE prompts (id, image_id, image_prompt)")
            table.execute("INSERT INTO prompts VALUES (1, 1, CAST(X'FF' AS TEXT)), (1, 1, 'a boat'), (1, 1, X'00')")
        for _ in range(3):
            found, texts = looked(ledger, home)
            assert (texts, len(found.problems)) == ({"db_1": "a boat"}, 2)

    def test_a_table_behind_a_link_is_seen_to_change_in_its_log(self, ledger: Ledger, home: Path) -> None:
        database = prompt_database(home / "real.db", ["a boat"])
        (home / "data/llm_video_batch.db").symlink_to(database)
        with closing(sqlite3.connect(database)) as table:
            table.execute("PRAGMA journal_mode=WAL")
            table.execute("UPDATE prompts SET image_prompt = 'a goat'")
            table.commit()
            settle(database, home / "real.db-wal")
            looked(ledger, home)
            table.execute("UPDATE prompts SET image_prompt = 'a coat'")
            table.commit()
            assert looked(ledger, home)[1] == {"db_1": "a coat"}

    def test_an_unchanged_table_is_not_opened(self, ledger: Ledger, home: Path) -> None:
        database = prompt_database(home / "data/llm_video_batch.db", ["a boat", None])
        settle(database)
        first, texts = looked(ledger, home)
        again, same = looked(ledger, home)
        assert (read_ids(first), read_ids(again)) == (["db_1"], [])
        assert texts == same == {"db_1": "a boat"}
        assert again.problems == first.problems, "what was left out is still named"

    def test_of_a_changed_table_only_changed_rows_are_taken(self, ledger: Ledger, home: Path) -> None:
        database = prompt_database(home / "data/llm_video_batch.db", ["a boat", "a fox", "a crow"])
        looked(ledger, home)
        with closing(sqlite3.connect(database)) as table, table:
            table.execute("UPDATE prompts SET image_prompt = 'a goat' WHERE id = 2")
            table.execute("DELETE FROM prompts WHERE id = 3")
        found, texts = looked(ledger, home)
        assert read_ids(found) == ["db_2"]
        assert texts == {"db_1": "a boat", "db_2": "a goat"}

    def test_an_edit_in_the_log_of_a_writer_is_seen(self, ledger: Ledger, home: Path) -> None:
        database = prompt_database(home / "data/llm_video_batch.db", ["a boat"])
        with closing(sqlite3.connect(database)) as table:
            table.execute("PRAGMA journal_mode=WAL")
            table.execute("UPDATE prompts SET image_prompt = 'a goat'")
            table.commit()
            settle(database, database.with_name(f"{database.name}-wal"))
            assert looked(ledger, home)[1] == {"db_1": "a goat"}
            table.execute("UPDATE prompts SET image_prompt = 'a coat'")
            table.commit()
            assert looked(ledger, home)[1] == {"db_1": "a coat"}

    def test_a_row_that_a_join_repeats_counts_once_in_each_look(self, ledger: Ledger, home: Path) -> None:
        database = home / "data/llm_video_batch.db"
        prompt_database(database, ["a boat"], ["a name"])
        with closing(sqlite3.connect(database)) as table, table:
            table.executescript(
                "CREATE TABLE twice AS SELECT * FROM images UNION ALL SELECT * FROM images; DROP TABLE images;"
                "ALTER TABLE twice RENAME TO images;"
            )
        for _ in range(3):
            found, texts = looked(ledger, home)
            assert texts == {"db_1": "a boat"}
            assert [problem.reason for problem in found.problems] == ["an earlier row has the same id"]
