"""Which of the waiting runs Dagster's daemon starts: how many image runs at a time, and whose come first."""

import logging

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration

from duomi_pipeline.orchestration.instance import open_instance
from duomi_pipeline.orchestration.partition_ranges import PartitionRange
from duomi_pipeline_tests.orchestration.harness import BACKFILL, LOCATION, Project, range_of


@pytest.fixture
def home(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A new home with runs of two prompts, opened for the first time."""
    monkeypatch.setenv("DAGSTER_HOME", str(project.home / "dagster"))
    project.configure(run_size=2)
    return project


def opened(project: Project) -> None:
    """What `duomi` and `duomi dev` do before anything else."""
    with open_instance(project.settings(), lambda _: project.instance):
        pass


def waiting(project: Project) -> list[PartitionRange]:
    """The ranges of the runs in the queue, oldest first."""
    runs = project.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    return [range_of(run.tags) for run in reversed(runs)]


def backfilled(project: Project, workspace: WorkspaceProcessContext, keys: list[str]) -> None:
    """Ask for a backfill as the UI does, and let the daemon put its runs into the queue."""
    launched = project.graphql(BACKFILL, workspace, keys=keys)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess"
    project.plan_backfills(workspace)


def looked(workspace: WorkspaceProcessContext) -> None:
    """One look of the daemon at the queue."""
    with QueuedRunCoordinatorDaemon(interval_seconds=5) as daemon:
        list(daemon.run_iteration(workspace))


@pytest.mark.parametrize(("image_runs", "started"), [(None, 1), (2, 2)])
def test_the_first_backfill_of_a_new_home_starts_as_many_runs_as_the_setting_says(
    home: Project, image_runs: int | None, started: int
) -> None:
    if image_runs:
        home.configure(image_runs=image_runs)
    opened(home)
    keys = home.write_many(6)
    home.look()

    with home.workspace() as workspace:
        backfilled(home, workspace, keys)
        assert waiting(home) == [(keys[0], keys[1]), (keys[2], keys[3]), (keys[4], keys[5])]
        looked(workspace)

    assert len(waiting(home)) == 3 - started
    assert len(home.posts()) == 2 * started


def test_a_limit_from_the_ui_stays_where_no_setting_says_another(home: Project) -> None:
    storage = home.instance.event_log_storage
    opened(home)
    storage.set_concurrency_slots("duomi_api", 3)

    opened(home)
    assert [pool.limit for pool in storage.get_pool_limits()] == [3]

    home.configure(image_runs=2)
    opened(home)
    assert [pool.limit for pool in storage.get_pool_limits()] == [2]


def test_a_new_prompt_goes_before_the_waiting_runs_of_a_backfill(home: Project) -> None:
    opened(home)
    keys = home.write_many(6)
    home.look()

    with home.workspace() as workspace:
        backfilled(home, workspace, keys)
        new = home.write("new")
        location = workspace.create_request_context().get_code_location(LOCATION)
        home.instance.start_sensor(location.get_repository("__repository__").get_sensor("new_prompts"))
        list(execute_sensor_iteration(workspace, logging.getLogger("sensor"), None, None))
        assert waiting(home)[-1] == (new, new)
        looked(workspace)

    assert home.posts() == ["picture of new"]
    assert waiting(home) == [(keys[0], keys[1]), (keys[2], keys[3]), (keys[4], keys[5])]
