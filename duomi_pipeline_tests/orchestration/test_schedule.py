"""The schedule `catch_up`: what it asks for once a day."""

import dagster as dg
import pandas as pd

from duomi_pipeline.orchestration.partition_ranges import PartitionRange
from duomi_pipeline_tests.orchestration.harness import OTHER_MODEL, Project, ranges

MANIFEST = "results_manifest"


def run(project: Project, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """Execute what the schedule asked for, with the tags and the config that it gave."""
    job = project.defs().resolve_job_def(project.defs().resolve_schedule_def("catch_up").job_name)
    subset = job.get_subset(
        asset_selection=frozenset(request.asset_selection or ()),
        asset_check_selection=frozenset(request.asset_check_keys or ()),
    )
    return project.execute(subset, run_config=request.run_config, tags=request.tags)


def test_it_is_off_until_somebody_switches_it_on(project: Project) -> None:
    schedule = project.defs().resolve_schedule_def("catch_up")

    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == "0 6 * * *"


def test_what_failed_for_now_or_is_missing_is_generated_whether_it_is_due_or_not(project: Project) -> None:
    keys = project.write_many(4)
    project.look()
    project.run(keys[0])
    project.service.change_faults(rate_503=1.0)
    project.run(keys[1])
    project.service.change_faults(rate_503=0.0)
    project.service.books.reset()

    request, _checks = project.scheduled()

    assert ranges([request]) == [(keys[1], keys[3])]
    assert run(project, request).success
    assert len(project.posts()) == 3
    assert project.materialized_and_failed() == (set(keys), set())


def test_outdated_and_refused_prompts_are_left_to_the_user(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.run(keys[0])
    project.configure(model=OTHER_MODEL)
    project.service.change_faults(refuse=("p01",))
    project.run(keys[1])

    (request,) = project.scheduled()

    assert request.asset_selection == [dg.AssetKey(MANIFEST)]


def test_with_nothing_to_generate_it_rewrites_the_manifest_and_checks_all_pictures(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.run(*keys)
    project.remove(keys[1])

    (request,) = project.scheduled()
    result = run(project, request)

    assert result.success
    names = {evaluation.check_name for evaluation in result.get_asset_check_evaluations()}
    assert names >= {"pictures_whole", "no_picture_twice", "nothing_orphaned"}
    assert list(project.events(result, MANIFEST)) == [None]
    assert list(pd.read_csv(project.home / "out/manifest/results.csv")["prompt_id"]) == [keys[0]]


def test_prompts_that_nobody_has_looked_at_yet_are_caught_up_too(project: Project) -> None:
    keys = project.write_many(2)  # new files, and the sensor is off

    request, _checks = project.scheduled()

    assert ranges([request]) == [(keys[0], keys[1])]


def test_it_waits_for_an_image_run_that_is_going_on(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.start_run(dg.DagsterRunStatus.STARTED, PartitionRange(keys[0], keys[1]).tags)

    assert project.scheduled() == []


def test_it_does_not_wait_for_a_run_whose_process_is_dead(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.leave_dead_run(keys[1])

    assert ranges(project.scheduled()[:1]) == [(keys[0], keys[1])]


def test_scattered_prompts_are_caught_up_in_several_runs(project: Project) -> None:
    keys = project.write_many(3)
    project.look()
    project.run(keys[1])
    project.configure(model=OTHER_MODEL)  # the one between them is outdated: left alone

    *images, _checks = project.scheduled()

    assert ranges(images) == [(keys[0], keys[0]), (keys[2], keys[2])]
    assert len({request.run_key for request in images}) == 2
