"""What run monitoring is told of image runs by the launcher for Celery: which of them live."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.execution.api import execute_run_iterator
from dagster._core.launcher import WorkerStatus
from dagster._utils.hosted_user_process import recon_job_from_origin

from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.ledger.leases import LEASE
from duomi_pipeline.orchestration.partition_ranges import PartitionRange
from duomi_pipeline_tests.orchestration.harness import BACKFILL, Project
from duomi_pipeline_tests.processes import started

launcher = pytest.importorskip("duomi_pipeline.orchestration.launcher", reason="the extra celery is not installed")

WORKING = """
import sys
from duomi_pipeline.engine import Session
from duomi_pipeline.settings import Settings
with Session(Settings.load(sys.argv[1]), "ui", sys.argv[2]) as session:
    session.ledger.start_run(session.run_id, "ui")
    print("working", flush=True)
    sys.stdin.readline()
    session.ledger.end_run(session.run_id, None, None, {})
"""


@contextmanager
def working(project: Project, run_id: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that has begun a run, and ends it when it gets a line."""
    with started(
        [sys.executable, "-c", WORKING, str(project.home), run_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        yield process


@pytest.fixture
def run(project: Project, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterRun:
    """An image run that Dagster has as started."""
    monkeypatch.setenv("DUOMI_HOME", str(project.home))
    key = project.write("p")
    project.look()
    project.start_run(dg.DagsterRunStatus.STARTED, PartitionRange(key, key).tags)
    (run,) = project.instance.get_runs()
    return run


def started_before(folder: Path, run: dg.DagsterRun, seconds: float) -> None:
    """Let Dagster have started a run so long ago."""
    with closing(sqlite3.connect(folder / "dagster/history/runs.db")) as runs, runs:
        start = (time.time() - seconds, run.run_id)
        assert runs.execute("UPDATE runs SET start_time = ? WHERE run_id = ?", start).rowcount


def health(project: Project, run: dg.DagsterRun) -> WorkerStatus:
    """What the launcher of this instance says."""
    found = launcher.LedgerCheckedRunLauncher(default_queue="dagster")
    found.register_instance(project.instance)
    return WorkerStatus(found.check_run_worker_health(run).status)


def test_a_run_whose_process_works_is_running_and_one_whose_process_was_killed_is_not(
    project: Project, run: dg.DagsterRun
) -> None:
    with working(project, run.run_id) as process:
        assert health(project, run) is WorkerStatus.RUNNING
        process.kill()
        process.wait()
        assert health(project, run) is WorkerStatus.FAILED


def test_a_run_that_has_just_ended_may_still_tell_dagster_so(project: Project, run: dg.DagsterRun) -> None:
    with working(project, run.run_id) as process:
        process.communicate("\n")

    assert health(project, run) is WorkerStatus.RUNNING
    with closing(sqlite3.connect(project.home / "out/ledger.db")) as ledger, ledger:
        assert ledger.execute("UPDATE runs SET ended_at = ?", (time.time() - LEASE - 1,)).rowcount
    assert health(project, run) is WorkerStatus.FAILED


def test_a_run_that_has_not_begun_is_given_its_time(project: Project, run: dg.DagsterRun, tmp_path: Path) -> None:
    started_before(tmp_path, run, launcher.BEGINS_WITHIN - 60)
    assert health(project, run) is WorkerStatus.RUNNING

    started_before(tmp_path, run, launcher.BEGINS_WITHIN + 60)
    assert health(project, run) is WorkerStatus.FAILED


def test_a_run_that_makes_no_pictures_is_left_to_its_longest_time(
    project: Project, run: dg.DagsterRun, tmp_path: Path
) -> None:
    project.start_run(dg.DagsterRunStatus.STARTED, {}, asset="prompt_table")
    other = project.instance.get_runs(limit=1)[0]

    started_before(tmp_path, other, launcher.BEGINS_WITHIN + 60)
    assert health(project, other) is WorkerStatus.RUNNING


def test_a_ledger_that_cannot_be_read_proves_no_death(project: Project, run: dg.DagsterRun) -> None:
    project.configure(ledger_url="postgresql+psycopg2://nobody@127.0.0.1:1/nothing")

    with pytest.raises(LedgerError):
        health(project, run)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS], ids=str)
def test_a_task_that_the_broker_hands_out_a_second_time_does_nothing(
    project: Project, status: dg.DagsterRunStatus
) -> None:
    keys = project.write_many(2)
    project.look()
    with project.workspace() as workspace:
        request = workspace.create_request_context()
        assert project.graphql(BACKFILL, workspace, keys=keys)["launchPartitionBackfill"]["backfillId"]
        project.plan_backfills(workspace)
        (run,) = project.instance.get_runs()
        if status is dg.DagsterRunStatus.SUCCESS:
            project.instance.launch_run(run.run_id, request)
        else:
            event = DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, run.job_name, message="")
            project.instance.report_dagster_event(event, run.run_id)
        posts = project.posts()
        again = project.instance.get_run_by_id(run.run_id)
        assert again is not None
        assert again.status is status

        code = again.job_code_origin
        assert code is not None
        list(execute_run_iterator(recon_job_from_origin(code), again, project.instance))

    assert project.posts() == posts
    after = project.instance.get_run_by_id(run.run_id)
    assert after is not None
    assert after.status is status
