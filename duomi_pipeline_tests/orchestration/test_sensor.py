"""The sensor `new_prompts`: what one look asks Dagster for, and what the daemon makes of it."""

import re
import sqlite3
import time
from contextlib import closing

import dagster as dg
import pytest

from duomi_pipeline.orchestration.partition_ranges import RUN_TAG, PartitionRange
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline_tests.orchestration.harness import OTHER_MODEL, Project, added, range_of, ranges, retired
from duomi_pipeline_tests.statements import statements

HOUR = 3600.0


def change_ledger(project: Project, statement: str) -> None:
    """Let time pass, or a process die, by what the ledger says of it."""
    with closing(sqlite3.connect(project.home / "out/ledger.db")) as db, db:
        assert db.execute(statement).rowcount


class TestNewPrompts:
    def test_a_new_file_is_a_picture_after_one_tick_of_the_daemon(self, project: Project) -> None:
        key = project.write("kite", "a red kite")

        tick = project.daemon_tick()

        assert tick.status.value == "SUCCESS"
        assert project.posts() == ["a red kite"]
        assert project.partitions() == [key]
        assert project.staleness([key]) == {key: "FRESH"}
        (run,) = project.instance.get_runs()
        assert run.status is dg.DagsterRunStatus.SUCCESS
        with closing(sqlite3.connect(project.home / "out/ledger.db")) as ledger:
            assert ledger.execute("SELECT door FROM runs").fetchall() == [("sensor",)]

    def test_a_tick_adds_the_partition_observes_the_prompt_and_requests_its_range(self, project: Project) -> None:
        keys = project.write_many(2)

        tick = project.tick()

        assert added(tick) == keys
        assert [found.partition for found in tick.asset_events] == keys
        (request,) = tick.run_requests or ()
        assert range_of(request.tags) == (keys[0], keys[1])
        assert request.asset_selection == [dg.AssetKey("generated_images")]
        assert request.run_config["ops"]["generated_images"]["config"]["states"] == [
            "changed",
            "failed_for_now",
            "missing",
        ]

    def test_a_refusal_of_a_language_model_is_named_in_the_tick_that_has_it_bought(
        self, project: Project, capfd: pytest.CaptureFixture[str]
    ) -> None:
        key = project.write("sorry", "I'm sorry, but I can't create that image.")
        project.write("boat", "A boat")
        words = f"No picture? {key}: It reads like a language model that refuses"

        tick = project.tick()

        assert tick.run_requests
        said = capfd.readouterr().err
        assert words in said
        assert said.count("No picture?") == 1

        project.obey(tick)
        project.start_run(dg.DagsterRunStatus.STARTED, (tick.run_requests or ())[0].tags)
        project.tick()
        assert "No picture?" not in capfd.readouterr().err

    def test_rows_of_the_table_are_picked_up_beside_files(self, project: Project) -> None:
        rows, (file,) = project.write_table("a fox", "a crow"), project.write_many(1)

        tick = project.tick()

        assert added(tick) == [*rows, file]
        assert ranges(tick.run_requests or ()) == [("db_1", "json_p00")]

    def test_an_edited_prompt_is_observed_and_requested_alone(self, project: Project, keys: list[str]) -> None:
        project.write("p02", "another text")

        tick = project.tick()

        assert [found.partition for found in tick.asset_events] == [keys[2]]
        assert ranges(tick.run_requests or ()) == [(keys[2], keys[2])]
        assert added(tick) == []

    def test_a_prompt_edited_twice_between_ticks_is_generated_once(self, project: Project, keys: list[str]) -> None:
        project.write("p02", "another text")
        project.write("p02", "yet another text")

        project.daemon_tick()

        assert project.posts() == ["yet another text"]

    def test_a_touched_file_and_an_edited_video_prompt_ask_for_nothing(self, project: Project, keys: list[str]) -> None:
        project.write("p01", age=0)
        project.write("p02", video_prompt="pan left")

        tick = project.tick()

        assert not tick.run_requests
        assert not tick.asset_events
        assert not tick.dynamic_partitions_requests
        assert tick.skip_message == "Nothing to generate: 4 current."

    def test_a_malformed_file_is_reported_by_name_and_delays_nothing(
        self, project: Project, capfd: pytest.CaptureFixture[str]
    ) -> None:
        project.write("broken", b"{not json")
        key = project.write("fine")

        tick = project.tick()

        assert added(tick) == [key]
        assert ranges(tick.run_requests or ()) == [(key, key)]
        assert "Left out: broken.json: not valid JSON" in capfd.readouterr().err

    def test_a_half_written_file_is_named_and_read_by_the_next_tick(
        self, project: Project, capfd: pytest.CaptureFixture[str]
    ) -> None:
        project.write("p00", b'{"image_prompt": "half a sen', age=0)

        tick = project.tick()

        assert not tick.run_requests
        assert not tick.dynamic_partitions_requests
        assert "Left out: p00.json: still being written" in capfd.readouterr().err
        assert tick.skip_message == (
            "Nothing to generate: no prompts. Left out: p00.json: still being written, or not whole: changed a moment ago; "
            "the next look reads it again."
        )

        project.write("p00", "half a sentence more", age=0)
        assert added(project.tick()) == ["json_p00"]

    def test_a_known_prompt_whose_file_is_being_rewritten_stays_as_it_is(
        self, project: Project, keys: list[str]
    ) -> None:
        project.write("p01", b'{"image_prompt": "half a sen', age=0)

        tick = project.tick()

        assert not tick.run_requests
        assert not tick.dynamic_partitions_requests

    def test_without_prompts_it_says_so(self, project: Project) -> None:
        assert str(project.tick().skip_message).startswith("Nothing to generate: no prompts. Left out: ")

    def test_partitions_that_somebody_swapped_by_hand_are_put_right(self, project: Project, keys: list[str]) -> None:
        project.obey(project.tick())
        assert not project.tick().dynamic_partitions_requests, "Dagster has what the register has"
        project.instance.delete_dynamic_partition(PARTITIONS_NAME, keys[1])
        project.instance.add_dynamic_partitions(PARTITIONS_NAME, ["json_by_hand"])

        tick = project.tick()

        assert (added(tick), retired(tick)) == ([keys[1]], ["json_by_hand"])


class TestRetiredPrompts:
    def test_the_partition_of_a_prompt_that_is_gone_is_deleted(self, project: Project, keys: list[str]) -> None:
        project.remove(keys[1])

        tick = project.tick()

        assert retired(tick) == [keys[1]]
        assert not tick.run_requests

    def test_the_daemon_deletes_it_while_new_prompts_are_generated(self, project: Project, keys: list[str]) -> None:
        project.remove(keys[1])
        new = project.write("p99")

        assert project.daemon_tick().status.value == "SUCCESS"

        assert project.partitions() == [keys[0], keys[2], keys[3], new]
        assert project.posts() == ["picture of p99"]

    def test_a_partition_is_not_deleted_while_a_run_works_on_it(self, project: Project, keys: list[str]) -> None:
        project.start_run(dg.DagsterRunStatus.STARTED, PartitionRange(keys[0], keys[1]).tags)
        project.remove(keys[1])
        project.remove(keys[2])

        assert retired(project.tick()) == [keys[2]]

    def test_no_row_is_retired_when_the_database_cannot_be_read(self, project: Project) -> None:
        rows = project.write_table("a fox", "a crow")
        project.obey(project.tick())
        (project.home / "data/llm_video_batch.db").write_bytes(b"not a database")
        new = project.write("p00")

        tick = project.tick()

        assert retired(tick) == []
        assert added(tick) == [new]
        assert ranges(tick.run_requests or ()) == [(new, new)]
        assert project.partitions() == rows

    def test_no_file_is_retired_when_the_folder_cannot_be_listed(self, project: Project, keys: list[str]) -> None:
        project.folder.rename(project.home / "elsewhere")
        project.folder.write_text("a file, not a folder")

        tick = project.tick()

        assert retired(tick) == []
        assert not tick.run_requests


class TestWhatIsLeftAlone:
    """Money: only what is missing or changed is bought without being asked for."""

    def test_outdated_pictures_are_not_requested(self, project: Project, keys: list[str]) -> None:
        project.configure(model=OTHER_MODEL)

        tick = project.tick()

        assert not tick.run_requests
        assert str(tick.skip_message).startswith("Nothing to generate: 4 outdated. Outdated pictures are left to you: ")

    def test_new_prompts_beside_outdated_ones_cost_only_their_own_pictures(
        self, project: Project, keys: list[str]
    ) -> None:
        project.configure(model=OTHER_MODEL)
        project.write("p99")

        project.daemon_tick()

        assert project.posts() == ["picture of p99"]

    def test_refused_prompts_are_not_requested_until_their_text_changes(self, project: Project) -> None:
        project.service.change_faults(refuse=("forbidden",))
        key = project.write("p00", "something forbidden")
        project.look()
        project.run(key)

        tick = project.tick()
        assert not tick.run_requests
        assert str(tick.skip_message).startswith(
            "Nothing to generate: 1 failed_for_good. What failed for good is left to you: "
        )

        project.write("p00", "something nice")
        assert ranges(project.tick().run_requests or ()) == [(key, key)]

    def test_a_range_does_not_pass_over_a_refused_prompt(self, project: Project) -> None:
        project.service.change_faults(refuse=("p01",))
        keys = project.write_many(3)
        project.look()
        project.run(keys[1])

        assert ranges(project.tick().run_requests or ()) == [(keys[0], keys[0]), (keys[2], keys[2])]

    def test_what_failed_for_now_is_requested_only_when_it_is_due(self, project: Project) -> None:
        project.service.change_faults(rate_503=1.0)
        key = project.write("p00")
        project.look()
        project.run(key)

        tick = project.tick()
        assert not tick.run_requests
        assert str(tick.skip_message).startswith(
            "Nothing to generate: 1 failed_for_now. The next try of what failed for now is due at "
        )

        change_ledger(project, f"UPDATE purchases SET retry_at = {time.time() - 1}")
        assert ranges(project.tick().run_requests or ()) == [(key, key)]

    def test_a_task_that_timed_out_is_looked_at_again_only_when_it_is_due(self, project: Project) -> None:
        project.service.change_faults(task_seconds=600)
        project.configure(model="gpt-image-2", task_timeout=0.5)
        key = project.write("p00")
        project.look()
        project.run(key)

        assert not project.tick().run_requests  # a run now would give the task up and pay for another one

        change_ledger(project, f"UPDATE purchases SET retry_at = {time.time() - 1}")
        assert ranges(project.tick().run_requests or ()) == [(key, key)]

    def test_a_paid_task_is_finished_and_not_bought_again_also_where_an_outdated_picture_is_there(
        self, project: Project, keys: list[str]
    ) -> None:
        project.service.change_faults(task_seconds=600)
        project.configure(model="gpt-image-2", task_timeout=0.5)
        project.run(keys[1])
        project.service.change_faults(task_seconds=0)
        change_ledger(project, f"UPDATE purchases SET retry_at = {time.time() - 1} WHERE state = 'submitted'")

        project.daemon_tick()

        assert [post.model for post in project.service.books.posts()] == ["gpt-image-2"]
        assert project.staleness(keys[:2]) == {keys[0]: "has a new code version", keys[1]: "FRESH"}

    @pytest.mark.parametrize("status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED], ids=str)
    def test_prompts_of_an_active_run_are_left_to_it_and_others_do_not_wait_for_it(
        self, project: Project, status: dg.DagsterRunStatus
    ) -> None:
        keys = project.write_many(2)
        project.look()
        project.start_run(status, PartitionRange(keys[0], keys[1]).tags)

        assert project.tick().skip_message == "2 prompts waiting for the end of active image runs."
        new = project.write("p99")
        assert ranges(project.tick().run_requests or ()) == [(new, new)]

    def test_nothing_is_requested_while_a_command_works_which_may_be_about_any_prompt(self, project: Project) -> None:
        keys = project.write_many(2)
        project.look()
        project.start_run(dg.DagsterRunStatus.STARTED, {**PartitionRange(keys[0], keys[0]).tags, RUN_TAG: "a command"})
        new = project.write("p99")

        tick = project.tick()

        assert not tick.run_requests
        assert tick.skip_message == "3 prompts waiting for the end of active image runs."
        assert added(tick) == [new]  # the UI shows it all the same
        assert [found.partition for found in tick.asset_events] == [new]

    def test_runs_of_the_sensor_that_wait_leave_no_room_for_more(self, project: Project) -> None:
        keys = project.write_many(7)
        project.look()
        for key in keys[:5]:
            sensor = {"dagster/sensor_name": "new_prompts"}
            project.start_run(dg.DagsterRunStatus.QUEUED, {**PartitionRange(key, key).tags, **sensor})

        assert project.tick().skip_message == "7 prompts waiting for the end of active image runs."

    def test_after_a_change_of_settings_it_waits_until_the_code_location_is_loaded_anew(self, project: Project) -> None:
        (key,) = project.write_many(1)
        loaded = project.defs()
        project.configure(max_spend_per_day=5, price_per_image=1)

        assert project.tick(loaded).skip_message == (
            "Reload the code location (Deployment, Reload): changed since it was loaded: "
            "DUOMI_MAX_SPEND_PER_DAY, DUOMI_PRICE_PER_IMAGE."
        )
        assert ranges(project.tick().run_requests or ()) == [(key, key)]

    def test_a_run_of_another_asset_holds_nothing_up(self, project: Project) -> None:
        (key,) = project.write_many(1)
        project.start_run(dg.DagsterRunStatus.STARTED, {}, asset="prompt_table")

        assert ranges(project.tick().run_requests or ()) == [(key, key)]

    @pytest.mark.parametrize("stop", ["service", "cap"])
    def test_after_a_run_that_was_stopped_it_waits_a_while(self, project: Project, stop: str) -> None:
        keys = project.write_many(3)
        project.look()
        if stop == "cap":
            project.configure(max_images_per_run=1)
        else:
            project.service.change_faults(credits=1)
        project.configure(max_concurrency=1)
        assert not project.run(keys[0], keys[-1]).success
        made = len(project.service.books.billings())
        project.configure(max_images_per_run=2)
        project.service.change_faults(credits=None)

        tick = project.tick()
        assert made == 1
        assert not tick.run_requests
        assert re.fullmatch(
            r"2 prompts waiting until \d\d:\d\d:\d\d UTC, because the last run was stopped\. .+\. "
            r"A run that you start does not wait\.",
            str(tick.skip_message),
        )

        for ended_at in (time.time() - HOUR, time.time() + 24 * HOUR):  # also where the clock was set back since
            change_ledger(project, f"UPDATE runs SET ended_at = {ended_at}")
            assert ranges(project.tick().run_requests or ()) == [(keys[1], keys[2])]

    def test_a_run_that_was_refused_does_not_end_the_waiting(self, project: Project) -> None:
        keys = project.write_many(2)
        project.look()
        project.configure(max_images_per_run=1, max_concurrency=1)
        assert not project.run(keys[0], keys[-1]).success
        refused = project.defs().resolve_job_def("generate_missing_images")
        config = {"ops": {"generated_images": {"config": {"force": True}}}}
        assert not project.execute(refused, run_config=config).success

        tick = project.tick()

        assert not tick.run_requests
        assert "because the last run was stopped" in str(tick.skip_message)
        assert len(project.service.books.billings()) == 1

    def test_it_is_off_until_somebody_switches_it_on(self, project: Project) -> None:
        sensor = project.defs().resolve_sensor_def("new_prompts")

        assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
        assert sensor.minimum_interval_seconds == 30


class TestChangesSinceTheLastTick:
    """A tick tells Dagster what looks have found since the last one that was obeyed, by whomever they were made."""

    def test_what_another_look_found_is_told(self, project: Project) -> None:
        (first,) = project.write_many(1)
        project.obey(project.tick())
        second = project.write("another", "a second picture")
        project.look_elsewhere()

        tick = project.tick()

        assert added(tick) == [second]
        assert [found.partition for found in tick.asset_events] == [second]
        assert first not in added(tick)

    def test_a_tick_that_was_not_obeyed_is_told_again(self, project: Project) -> None:
        project.write_many(1)
        project.obey(project.tick())
        second = project.write("another", "a second picture")

        assert [added(project.tick()) for _ in range(2)] == [[second]] * 2

    def test_after_an_older_ledger_was_restored_all_is_compared(self, project: Project) -> None:
        gone, _ = project.write_many(2)
        project.obey(project.tick())
        ledger = project.home / "out/ledger.db"
        backup = ledger.read_bytes()
        for number in range(3):
            project.write("another", f"text {number}")
            project.obey(project.tick())
        project.remove("json_another")
        project.obey(project.tick())
        ledger.write_bytes(backup)
        project.remove(gone)
        new = project.write("new", "a new picture")

        tick = project.tick()

        assert (added(tick), retired(tick)) == ([new], [gone])

    def test_an_older_ledger_that_has_seen_as_many_looks_since_is_told_from_the_one_before(
        self, project: Project
    ) -> None:
        first, second = project.write_many(2)
        project.obey(project.tick())
        ledger = project.home / "out/ledger.db"
        backup = ledger.read_bytes()
        for number in range(3):
            project.write("p00", f"text {number}")
            project.obey(project.tick())
        ledger.write_bytes(backup)
        project.write("p01", "an edited picture")
        for number in range(5):
            project.look_elsewhere()
            project.write("p00", f"another text {number}")

        assert {event.partition for event in project.tick().asset_events} == {first, second}

    def test_a_partition_that_was_deleted_by_hand_comes_back(self, project: Project) -> None:
        first, _ = project.write_many(2)
        project.obey(project.tick())
        project.instance.delete_dynamic_partition("prompt_id", first)

        assert added(project.tick()) == [first]

    def test_a_prompt_that_is_gone_is_retired_when_its_run_has_ended(self, project: Project) -> None:
        gone, _ = project.write_many(2)
        project.obey(project.tick())
        project.remove(gone)
        project.start_run(dg.DagsterRunStatus.STARTED, PartitionRange(gone, gone).tags)

        busy = project.tick()
        project.obey(busy)
        (run,) = project.instance.get_runs()
        project.instance.report_run_canceled(run)

        assert (retired(busy), retired(project.tick())) == ([], [gone])


class TestManyPrompts:
    def test_scattered_prompts_become_few_ranges(self, project: Project) -> None:
        keys = project.write_many(24)
        project.look()
        assert project.run(keys[0], keys[-1]).success
        for place in (1, 2, 5, 9, 20):
            project.write(f"p{place:02}", "another text")

        assert ranges(project.tick().run_requests or ()) == [(keys[1], keys[20])]

    def test_a_look_at_2000_files_is_one_run_request_per_500_and_no_query_per_prompt(self, project: Project) -> None:
        for number in range(2_000):
            (project.folder / f"q{number:04}.json").write_text(f'{{"image_prompt": "picture {number}"}}')

        with statements() as counted:
            tick = project.tick()

        assert len(added(tick)) == len(tick.asset_events) == 2_000
        assert ranges(tick.run_requests or ()) == [
            (f"json_q{first:04}", f"json_q{first + 499:04}") for first in range(0, 2_000, 500)
        ]
        assert len(counted) < 250
