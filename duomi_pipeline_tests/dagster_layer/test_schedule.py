"""The schedule `catch_up`: what it asks for once a day."""

import dagster as dg
import pandas as pd

from duomi_pipeline.partition_runs import PartitionRange
from duomi_pipeline_tests.dagster_layer import OTHER_MODEL, Project, ranges

MANIFEST = "results_manifest"


def run(project: Project, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """Execute what the schedule asked for, with the tags and the config that it gave."""
    job = project.defs().resolve_job_def(project.defs().resolve_schedule_def("catch_up").job_name)
    how = {"run_config": request.run_config, "tags": request.tags, "asset_selection": request.asset_selection}
    return project.execute(job, **how)


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

    (request,) = project.scheduled()

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


def test_with_nothing_to_generate_it_rewrites_the_manifest(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.run(*keys)
    project.remove(keys[1])

    (request,) = project.scheduled()
    result = run(project, request)

    assert result.success
    assert list(project.events(result, MANIFEST)) == [None]
    assert list(pd.read_csv(project.home / "out/manifest/results.csv")["prompt_id"]) == [keys[0]]


def test_prompts_that_nobody_has_looked_at_yet_are_caught_up_too(project: Project) -> None:
    keys = project.write_many(2)  # new files, and the sensor is off

    (request,) = project.scheduled()

    assert ranges([request]) == [(keys[0], keys[1])]


def test_it_waits_for_an_image_run_that_is_going_on(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.start_run(dg.DagsterRunStatus.STARTED, PartitionRange(keys[0], keys[1]).tags)

    assert project.scheduled() == []
