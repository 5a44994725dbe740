"""How partitions and observations follow the sources; the assets `prompt_table` and `prompt_files`."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import Engine, event

from duomi_pipeline.engine import Session
from duomi_pipeline.orchestration.event_log.sqlite import BatchingEventLogStorage
from duomi_pipeline.orchestration.partition_ranges import PartitionRange
from duomi_pipeline.orchestration.partition_sync import (
    PROMPTS_KEY,
    PartitionChanges,
    add_partitions,
    observed_versions,
    partition_changes,
)
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline_tests.orchestration.harness import Project, failure_text


def changes(project: Project, existing: Sequence[str], since: int | None = None) -> PartitionChanges:
    """What a look finds that Dagster does not know."""
    found = project.look_elsewhere()
    with Session(project.settings()) as session:
        return partition_changes(project.instance, session.ledger, existing, found, since)


def last_look(project: Project) -> int:
    with Session(project.settings()) as session:
        return session.ledger.register.holdings().last_look


def test_more_partitions_are_added_at_once_than_a_statement_takes_values(tmp_path: Path) -> None:
    most = 32_766  # values, as SQLite is built by default; Debian's takes more
    keys = [f"json_{number}" for number in range(most + 1)]

    def limit(opened: sqlite3.Connection, _: object) -> None:
        opened.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, most)

    event.listen(Engine, "connect", limit)
    try:
        with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
            add_partitions(instance, keys)

            assert instance.get_dynamic_partitions(PARTITIONS_NAME) == keys
    finally:
        event.remove(Engine, "connect", limit)


def test_a_partition_that_another_process_adds_in_the_same_moment_is_no_error(tmp_path: Path) -> None:
    log = BatchingEventLogStorage(str(tmp_path))
    log.add_dynamic_partitions(PARTITIONS_NAME, ["json_a"])

    others = [["json_b", "json_c"]]

    def add_first(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if others and statement.startswith("INSERT INTO dynamic_partitions"):
            BatchingEventLogStorage(str(tmp_path)).add_dynamic_partitions(PARTITIONS_NAME, others.pop())

    event.listen(Engine, "before_cursor_execute", add_first)
    try:
        log.add_dynamic_partitions(PARTITIONS_NAME, ["json_a", "json_c", "json_d"])
    finally:
        event.remove(Engine, "before_cursor_execute", add_first)

    assert log.get_dynamic_partitions(PARTITIONS_NAME) == ["json_a", "json_b", "json_c", "json_d"]


class TestChanges:
    def test_new_prompts_are_added_and_observed_in_the_order_of_their_sources(self, project: Project) -> None:
        project.write_table("a fox", "a crow")
        project.write("b", "a boat")
        project.write("a", "a kite")

        found = changes(project, [])

        assert found.add == ("db_1", "db_2", "json_a", "json_b")
        assert [prompt.id for prompt in found.observe] == ["db_1", "db_2", "json_a", "json_b"]
        assert found.retire == ()

    def test_only_a_prompt_with_another_version_is_observed(self, project: Project) -> None:
        keys = project.write_many(2)
        project.look()
        project.write(keys[1].removeprefix("json_"), "another text")

        for since in (None, last_look(project)):
            found = changes(project, keys, since)
            assert (found.add, [p.id for p in found.observe], found.retire) == ((), [keys[1]], ())

    def test_what_an_earlier_look_found_is_not_told_again(self, project: Project) -> None:
        keys = project.write_many(2)
        since = last_look(project)
        changes(project, [])

        assert changes(project, [], since).add == tuple(keys)
        assert changes(project, [], last_look(project)).add == ()

    def test_a_prompt_that_is_gone_is_retired(self, project: Project) -> None:
        gone, other = project.write_many(2)
        project.look()
        project.remove(gone)

        for since in (last_look(project), None):
            assert changes(project, [gone, other], since).retire == (gone,)

    def test_a_source_that_could_not_be_read_retires_nothing(self, project: Project) -> None:
        project.write_table("a fox")
        project.look()
        project.folder.rmdir()
        project.folder.write_text("no folder")

        assert changes(project, ["json_a", "db_1", "db_9"]).retire == ("db_9",)

    def test_a_file_that_is_there_but_cannot_be_read_now_is_not_retired(self, project: Project) -> None:
        (key,) = project.write_many(1)
        project.look()
        path = project.folder / f"{key.removeprefix('json_')}.json"
        path.write_text("{")
        os.utime(path, (1e9, 1e9))

        assert changes(project, [key]).retire == ()

    def test_a_prompt_that_comes_back_is_added_and_its_known_version_is_not_observed_again(
        self, project: Project
    ) -> None:
        (key,) = project.write_many(1)
        project.look()

        found = changes(project, [])

        assert (found.add, found.observe) == ((key,), ())


class TestTrack:
    def test_a_second_look_at_the_same_prompts_tells_nothing(self, project: Project) -> None:
        project.write_many(3)
        project.look()
        before = len(observations(project))

        project.look()

        assert before == 3
        assert len(observations(project)) == 3

    def test_an_observation_says_which_prompt_it_is_about(self, project: Project) -> None:
        project.write("kite", "a red kite over the dunes")
        project.look()

        (event,) = observations(project)

        assert event.partition == "json_kite"
        assert event.metadata["prompt"].value == "a red kite over the dunes"
        assert event.metadata["origin"].value == "kite.json"
        assert observed_versions(project.instance) == {"json_kite": (event.tags or {})["dagster/data_version"]}

    def test_a_run_that_generates_retires_no_partition(self, project: Project) -> None:
        keys = project.write_many(4)
        project.look()
        project.remove(keys[1])
        project.remove(keys[3])

        project.run(keys[0], keys[2])

        assert project.partitions() == keys

    def test_a_retired_prompt_keeps_its_picture_and_is_current_when_it_comes_back(self, project: Project) -> None:
        key, other = project.write_many(2)
        project.look()
        project.run(key)
        project.remove(key)
        assert project.look() == [other]
        assert len(list((project.home / "out/generated_images").glob("*.png"))) == 1
        project.write_many(2)
        project.look()

        project.run(key)

        assert len(project.posts()) == 1
        assert project.staleness([key]) == {key: "FRESH"}


class TestPromptTable:
    def test_the_table_as_pandas_writes_it_has_the_same_ids(self, project: Project) -> None:
        project.write_table("a boat", "a fox")
        before = project.look()
        with closing(sqlite3.connect(project.home / "data/llm_video_batch.db")) as db, db:
            db.execute("CREATE TABLE real AS SELECT CAST(id AS REAL) id, NULL AS image_id, image_prompt FROM prompts")
            db.execute("DROP TABLE prompts")
            db.execute("ALTER TABLE real RENAME TO prompts")

        run = project.materialize("prompt_table")

        assert (project.partitions(), len(run.output_for_node("prompt_table"))) == (before, 2)

    def test_it_gives_the_rows_and_says_what_was_left_out_and_why(self, project: Project) -> None:
        project.write_table("a fox", None, "  ", "a | *bold* crow")

        run = project.materialize("prompt_table")

        table = run.output_for_node("prompt_table")
        assert isinstance(table, pd.DataFrame)
        assert list(table["id"]) == [1, 4]
        assert list(table["image_prompt"]) == ["a fox", "a | *bold* crow"]
        metadata = project.events(run, "prompt_table")[None].metadata
        assert metadata["dagster/row_count"] == 2
        assert metadata["left_out"] == 2
        assert "| prompts.id=2 | image\\_prompt is NULL |" in str(metadata["left_out_because"])
        assert "| prompts.id=3 | image\\_prompt is empty |" in str(metadata["left_out_because"])
        assert "| db_1 | prompts.id=1 | a fox |" in str(metadata["preview"])
        assert "a \\| \\*bold\\* crow" in str(metadata["preview"])

    def test_it_brings_the_partitions_of_its_own_source_up_to_date_and_no_others(self, project: Project) -> None:
        project.write_table("a fox", "a crow")
        project.write_many(1)
        project.instance.add_dynamic_partitions("prompt_id", ["db_9", "json_gone"])

        run = project.materialize("prompt_table")

        assert project.partitions() == ["json_gone", "db_1", "db_2"]
        assert sorted(observed_versions(project.instance)) == ["db_1", "db_2"]
        metadata = project.events(run, "prompt_table")[None].metadata
        assert (metadata["new_or_changed"], metadata["retired"]) == (2, 1)

    def test_a_changed_row_is_observed_and_an_edited_video_prompt_is_not(self, project: Project) -> None:
        project.write_table("a fox", "a crow")
        project.materialize("prompt_table")
        with closing(sqlite3.connect(project.home / "data/llm_video_batch.db")) as db, db:
            db.execute("UPDATE prompts SET image_prompt = 'a wolf' WHERE id = 1")
            db.execute("UPDATE prompts SET video_prompt = 'zoom' WHERE id = 2")

        project.materialize("prompt_table")

        assert [event.partition for event in observations(project)] == ["db_1", "db_2", "db_1"]

    def test_a_missing_database_says_what_to_do_and_retires_nothing(self, project: Project) -> None:
        project.instance.add_dynamic_partitions("prompt_id", ["db_1", "json_a"])

        run = project.materialize("prompt_table")

        assert not run.success
        assert "Put the file there, or set DUOMI_DATABASE to where it is." in failure_text(run)
        assert str(project.home / "data/llm_video_batch.db") in failure_text(run)
        assert project.partitions() == ["db_1", "json_a"]

    def test_somebody_with_json_files_alone_misses_no_database(self, project: Project) -> None:
        project.write("fox", "a fox")

        run = project.materialize("prompt_table", "prompt_files")

        assert run.success
        assert project.partitions() == ["json_fox"]
        assert len(run.output_for_node("prompt_table")) == 0


class TestPromptFiles:
    def test_it_gives_the_prompts_and_names_bad_files(self, project: Project, caplog: pytest.LogCaptureFixture) -> None:
        project.write("fox", "a fox", negative_prompt="snow")
        project.write("broken", b"{not json")
        project.write("empty", b"{}")

        run = project.materialize("prompt_files")

        table = run.output_for_node("prompt_files")
        assert table.to_dict("records") == [
            {
                "prompt_id": "json_fox",
                "file": "fox.json",
                "image_prompt": "a fox",
                "overrides": {"negative_prompt": "snow"},
            }
        ]
        metadata = project.events(run, "prompt_files")[None].metadata
        assert (metadata["dagster/row_count"], metadata["left_out"]) == (1, 2)
        assert "| broken.json | not valid JSON: " in str(metadata["left_out_because"])
        assert "| empty.json | no " in str(metadata["left_out_because"])
        assert "json_fox" in str(metadata["preview"])
        logged = [entry.user_message for entry in project.instance.all_logs(run.run_id)]
        assert any(line.startswith("Left out: broken.json: not valid JSON") for line in logged)

    def test_it_brings_the_partitions_of_its_own_source_up_to_date_and_no_others(self, project: Project) -> None:
        project.write_table("a fox")
        project.write_many(2)
        project.write("being_written", b'{"image_pr', age=0)
        project.instance.add_dynamic_partitions("prompt_id", ["db_9", "json_gone", "json_being_written"])

        project.materialize("prompt_files")

        assert project.partitions() == ["db_9", "json_being_written", "json_p00", "json_p01"]
        assert sorted(observed_versions(project.instance)) == ["json_p00", "json_p01"]

    def test_an_empty_folder_is_no_error_where_no_prompts_were_known(self, project: Project) -> None:
        project.folder.rmdir()
        assert project.materialize("prompt_files").success
        assert project.partitions() == []

    def test_a_folder_that_cannot_be_listed_says_what_to_do_and_retires_nothing(self, project: Project) -> None:
        project.instance.add_dynamic_partitions("prompt_id", ["json_a"])
        project.folder.rmdir()
        project.folder.write_text("a file, not a folder")

        run = project.materialize("prompt_files")

        assert not run.success
        assert "Set DUOMI_PROMPT_DIR to a readable folder." in failure_text(run)
        assert project.partitions() == ["json_a"]

    def test_a_partition_that_a_run_works_on_is_retired_only_afterwards(self, project: Project) -> None:
        keys = project.write_many(3)
        project.look()
        project.start_run(dg.DagsterRunStatus.STARTED, PartitionRange(keys[0], keys[0]).tags)
        for key in keys[:2]:
            project.remove(key)

        project.materialize("prompt_files")

        assert project.partitions() == [keys[0], keys[2]]


def observations(project: Project) -> list[dg.AssetObservation]:
    """All observations of prompts, oldest first."""
    records = project.instance.fetch_observations(PROMPTS_KEY, limit=1_000, ascending=True).records
    return [record.asset_observation for record in records if record.asset_observation]
