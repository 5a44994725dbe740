"""Runs take prompts from the register, which others write; a host without the sources deletes and buys nothing wrong."""

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY
from duomi_pipeline_tests.orchestration.harness import Project, added, failure_text, retired

DUE = "materialize `prompt_files`, or start the sensor `new_prompts`"


def without_folder(project: Project) -> Path:
    """Be a worker that does not have the prompt folder; returns where it is now."""
    return project.folder.rename(project.home / "not_mounted")


def half_of(project: Project, count: int) -> None:
    for path in sorted(project.folder.glob("*.json"))[count:]:
        path.unlink()


class TestRuns:
    def test_a_worker_without_the_folder_makes_the_pictures_manifest_and_gallery(self, project: Project) -> None:
        keys = [*project.write_table("a fox"), *project.write_many(3)]
        project.write("broken", b"{")
        project.look()
        without_folder(project)
        shutil.rmtree(project.home / "data")

        assert project.run(keys[0], keys[-1]).success
        assert project.materialize("results_manifest", "gallery").success

        assert sorted(map(str, project.posts())) == ["a fox", "picture of p00", "picture of p01", "picture of p02"]
        rows = json.loads((project.home / "out/manifest/results.json").read_text())
        assert [(row["prompt_id"], row["state"]) for row in rows] == [(key, "current") for key in keys]
        left_out = json.loads((project.home / "out/manifest/left_out.json").read_text())
        assert [entry["origin"] for entry in left_out] == ["broken.json"]

    def test_a_prompt_edited_after_the_look_is_made_as_it_was_and_changed_afterwards(self, project: Project) -> None:
        key = project.write("p", "a red kite")
        project.look()
        project.write("p", "a blue kite")

        assert project.run(key).success

        assert project.posts() == ["a red kite"]
        assert added(tick := project.tick()) == []
        assert [event.partition for event in tick.asset_events] == [key]
        assert len(tick.run_requests or ()) == 1

    def test_a_partition_that_nobody_has_registered_fails_alone_with_what_to_do(self, project: Project) -> None:
        key = project.write("p")
        project.look()
        project.instance.add_dynamic_partitions("prompt_id", ["json_new", "db_7"])

        run = project.run(key, "db_7")

        assert f"- json_new: it is not in the register of prompts: {DUE}" in failure_text(run)
        assert "- db_7: it is not in the register of prompts: materialize `prompt_table`" in failure_text(run)
        assert project.materialized_and_failed() == ({key}, {"json_new", "db_7"})

    def test_a_prompt_whose_file_cannot_be_read_now_is_not_made_from_what_it_said_before(
        self, project: Project
    ) -> None:
        key = project.write("p", "before")
        project.look()
        project.write("p", b"{not json")
        project.look()

        assert f"- {key}: its row, file or recorded override cannot be read" in failure_text(project.run(key))
        assert project.posts() == []

    def test_rows_that_are_there_but_cannot_be_read_are_not_made_from_what_they_said_before(
        self, project: Project
    ) -> None:
        keys = project.write_table(*(f"a lighthouse {number}" for number in range(20)))
        project.look()
        with closing(sqlite3.connect(project.home / "data/llm_video_batch.db")) as table, table:
            table.execute("UPDATE prompts SET image_prompt = CAST(X'636166E9' AS TEXT) WHERE id > 1 AND id < 12")
            table.execute("UPDATE prompts SET image_prompt = X'00' WHERE id >= 12 AND id < 19")
            table.execute("UPDATE prompts SET image_prompt = 'an edited lighthouse' WHERE id = 20")

        project.look()

        assert set(project.partitions()) == set(keys)
        run = project.run(keys[0], keys[-1])
        assert f"- {keys[10]}: its row, file or recorded override cannot be read" in failure_text(run)
        assert sorted(map(str, project.posts())) == ["a lighthouse 0", "a lighthouse 18", "an edited lighthouse"]

    def test_overrides_names_and_odd_texts_come_through_as_they_were(self, project: Project) -> None:
        text = "nothing \0 and \\0, \\ and 夜市 🦊\n"
        key = project.write("Odd name, (1)", text, negative_prompt="blur", generation={"seed": 7})
        key = next(iter(project.look()))
        without_folder(project)

        found = project.events(project.run(key))[key].metadata

        assert project.posts() == [text]
        assert found["seed"] == 7
        assert Path(str(found["path"])).name.startswith("Odd name, (1)_")


class TestLostSources:
    def test_a_host_without_the_folder_deletes_no_partition(self, project: Project) -> None:
        keys = project.write_many(3)
        project.look()
        without_folder(project)

        run = project.materialize("prompt_files")

        assert f"{project.folder} gives no prompt, but had 3 prompts before." in failure_text(run)
        assert project.partitions() == keys
        assert retired(project.tick()) == []

    @pytest.mark.parametrize("register", ["filled", "empty"])
    def test_a_folder_that_is_mounted_in_part_deletes_no_partition(self, project: Project, register: str) -> None:
        keys = project.write_many(40)
        project.look()
        if register == "empty":  # a home from before there was one
            (project.home / "out/ledger.db").unlink()
        half_of(project, 29)

        run = project.materialize("prompt_files")

        assert f"{project.folder}: 11 of 40 prompts are gone at once." in failure_text(run)
        assert "`retire_lost: true`" in failure_text(run)
        assert project.partitions() == keys
        tick = project.tick()
        assert (retired(tick), added(tick), tick.run_requests) == ([], [], [])

    def test_of_another_folder_nothing_is_taken_added_or_bought(self, project: Project) -> None:
        keys = project.write_many(12)
        project.look()
        without_folder(project)
        project.folder.mkdir()
        project.write("other", "of somebody else")
        project.write("p00", "of somebody else, too")

        run = project.materialize("prompt_files")
        tick = project.tick()

        assert "11 of 12 prompts are gone at once" in failure_text(run)
        assert (retired(tick), added(tick), tick.run_requests) == ([], [], [])
        assert project.run(keys[0]).success
        assert project.posts() == ["picture of p00"]

    def test_ten_gone_at_once_or_few_of_many_are_retired(self, project: Project) -> None:
        keys = project.write_many(40)
        project.look()
        half_of(project, 30)
        assert project.materialize("prompt_files").success
        assert project.partitions() == keys[:30]

    @pytest.mark.parametrize("left", [0, 1])
    def test_they_are_retired_where_the_launchpad_says_so(self, project: Project, left: int) -> None:
        keys = project.write_many(20)
        project.look()
        half_of(project, left)
        job = project.defs().resolve_implicit_global_asset_job_def()
        config = {"ops": {"prompt_files": {"config": {"retire_lost": True}}}}

        run = project.execute(job, asset_selection=[dg.AssetKey("prompt_files")], run_config=config)

        assert run.success
        assert project.partitions() == keys[:left]
        said = project.tick().skip_message
        assert said is None if left else str(said).startswith("Nothing to generate: no prompts."), (
            "the sensor believes it"
        )

    def test_the_manifest_keeps_the_rows_of_a_source_that_looks_lost(self, project: Project) -> None:
        keys = project.write_many(12)
        project.look()
        assert project.run(keys[0], keys[-1]).success
        half_of(project, 0)
        assert not project.materialize("prompt_files").success

        assert project.materialize("results_manifest").success

        rows = json.loads((project.home / "out/manifest/results.json").read_text())
        assert [row["prompt_id"] for row in rows] == keys

    def test_when_it_is_back_all_goes_on(self, project: Project) -> None:
        keys = project.write_many(12)
        project.look()
        away = without_folder(project)
        project.tick()
        away.rename(project.folder)
        new = project.write("new")

        tick = project.tick()

        assert added(tick) == [new]
        assert retired(tick) == []
        assert project.partitions() == keys


class TestHomesWithoutARegister:
    def test_the_first_run_fills_it_and_nothing_is_bought_again(self, project: Project, keys: list[str]) -> None:
        (project.home / "out/ledger.db").unlink()

        assert project.run(keys[0], keys[-1]).success

        assert project.posts() == []


class TestSourcesSeen:
    def check(self, project: Project) -> tuple[bool, dict[str, object]]:
        run = project.execute(project.defs().resolve_job_def("check_results"))
        (found,) = [e for e in run.get_asset_check_evaluations() if e.check_name == "sources_seen"]
        return found.passed, {name: value.value for name, value in found.metadata.items()}

    def test_it_says_when_each_source_was_looked_at_and_by_whom(self, project: Project) -> None:
        project.write_many(2)
        project.write("broken", b"{", age=60)
        project.look()

        passed, metadata = self.check(project)

        assert passed
        (look,) = metadata["looks"].records  # type: ignore[attr-defined]
        assert look.data["host"] == os.uname().nodename
        assert (look.data["source"], look.data["place"]) == ("files", str(project.folder))
        assert (look.data["prompts"], look.data["left_out"], look.data["problem"]) == (2, 1, "")
        assert abs(time.time() - time.mktime(time.strptime(look.data["looked_at"][:19], "%Y-%m-%dT%H:%M:%S"))) < 86_400

    def test_it_fails_where_the_last_look_was_not_believed(self, project: Project) -> None:
        project.write_many(2)
        project.look()
        without_folder(project)
        project.tick()

        passed, metadata = self.check(project)

        assert not passed
        assert "gives no prompt, but had 2 prompts" in str(metadata["list"])

    def test_the_assets_say_it_too(self, project: Project) -> None:
        project.write_many(1)

        found = project.events(project.materialize("prompt_files"), "prompt_files")[None].metadata

        assert found["looked_at_by"] == os.uname().nodename
        assert found["place"] == str(project.folder)
        assert abs(time.time() - float(found["looked_at"])) < 60


def test_a_single_partition_run_reads_no_source(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    for path in project.folder.glob("*.json"):
        path.write_bytes(b"{")
    job = project.defs().resolve_implicit_global_asset_job_def()

    assert project.execute(job, partition_key=keys[0], asset_selection=[IMAGES_KEY]).success
