"""What runs that Dagster starts leave in the folder of logs: each its own receipt, under Dagster's run id."""

import json
import subprocess
import sys
from typing import Any

import dagster as dg

from duomi_pipeline.engine import Session
from duomi_pipeline.orchestration.partition_ranges import RUN_TAG, PartitionRange, end_dead_runs
from duomi_pipeline_tests.orchestration.harness import Project, failure_of
from duomi_pipeline_tests.processes import started

COMMAND_THAT_DIES = """
import sys
from duomi_pipeline.engine import Session
from duomi_pipeline.settings import Settings
with Session(Settings.load(sys.argv[1])) as session:
    session.ledger.start_run("c0ffee", "cli")
"""
COMMAND_ELSEWHERE = """
import socket, sys, time
true_time = time.time
time.time = lambda: true_time() - 600
socket.gethostname = lambda: "another-container"
from duomi_pipeline.engine import Session
from duomi_pipeline.settings import Settings
with Session(Settings.load(sys.argv[1])) as session:
    session.ledger.start_run("c0ffee", "cli")
    print("working", flush=True)
    sys.stdin.read()
"""
_AGAIN = """
mutation ($run: String!) { launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: ALL_STEPS}) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""


def receipts(project: Project) -> list[dict[str, Any]]:
    """The receipts that were kept, oldest first."""
    files = sorted((project.home / "logs").glob("duomi_generation_results_*.json"))
    return [json.loads(file.read_text(encoding="utf-8"))["receipt"] for file in files]


def test_each_run_leaves_its_receipt_under_its_own_id(project: Project) -> None:
    project.configure(price_per_image=0.5)
    keys = project.write_many(2)
    project.look()

    runs = [project.run(key) for key in keys]

    found = receipts(project)
    assert [receipt["run_id"] for receipt in found] == [run.run_id for run in runs]
    assert {receipt["door"] for receipt in found} == {"ui"}
    assert [(receipt["generated"], receipt["spent"]) for receipt in found] == [(1, 0.5), (1, 0.5)]
    with Session(project.settings()) as session:
        last = session.ledger.last_run()
    assert last is not None
    assert (last.id, last.counts["generated"]) == (runs[1].run_id, 1)


def test_the_receipt_names_all_that_fails_the_run_and_is_on_the_failure(project: Project) -> None:
    keys = project.write_many(4)
    project.look()
    project.service.change_faults(refuse=("p01",))
    project.run(keys[1])
    project.remove(keys[3])
    project.look_elsewhere()

    run = project.run(keys[0], keys[3], job="generate_missing_images")

    receipt = receipts(project)[-1]
    assert receipt["generated"] == 2
    assert receipt["failed"] == {"left": 1, "absent": 1}
    assert [failure["prompt_id"] for failure in receipt["failures"]] == [keys[1], keys[3]]
    told: Any = failure_of(run).metadata["receipt"].value
    assert told["run_id"] == run.run_id
    assert told["failed"] == receipt["failed"]


def test_a_command_that_works_elsewhere_is_left_alone_until_it_dies(project: Project) -> None:
    key = project.write("p")
    project.look()
    command = [sys.executable, "-c", COMMAND_ELSEWHERE, str(project.home)]
    with started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        project.start_run(dg.DagsterRunStatus.STARTED, {**PartitionRange(key, key).tags, RUN_TAG: "c0ffee"})
        (run,) = project.instance.get_runs()
        with Session(project.settings()) as session:
            end_dead_runs(project.instance, session.ledger)
            assert _status(project, run) == dg.DagsterRunStatus.STARTED
            process.kill()
            process.wait()
            end_dead_runs(project.instance, session.ledger)
            assert _status(project, run) == dg.DagsterRunStatus.FAILURE


def _status(project: Project, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = project.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_commands_run_that_is_executed_again_is_a_run_of_its_own(project: Project) -> None:
    key = project.write("p")
    project.look()
    with started([sys.executable, "-c", COMMAND_THAT_DIES, str(project.home)]) as process:
        assert process.wait(timeout=30) == 0
    project.start_run(dg.DagsterRunStatus.FAILURE, {**PartitionRange(key, key).tags, RUN_TAG: "c0ffee"})
    (first,) = project.instance.get_runs()

    with project.workspace() as workspace:
        launched = project.graphql(_AGAIN, workspace, run=first.run_id)["launchRunReexecution"]
        again = launched["run"]["runId"]
        with Session(project.settings()) as session:
            end_dead_runs(project.instance, session.ledger)  # the command is gone, this run is not
        project.instance.launch_run(again, workspace.create_request_context())

    run = project.instance.get_run_by_id(again)
    assert run is not None
    assert run.tags[RUN_TAG] == "c0ffee"  # Dagster copies what the first run was tagged with
    (receipt,) = receipts(project)
    assert (receipt["run_id"], receipt["door"], receipt["generated"]) == (again, "ui", 1)
