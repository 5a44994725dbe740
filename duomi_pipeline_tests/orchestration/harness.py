"""The project that tests of the Dagster layer work on: prompts, a service over HTTP, a Dagster instance."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.execution.plan.objects import StepFailureData, UserFailureData
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.sensor import execute_sensor_iteration
from dagster_graphql.schema import create_schema

from duomi_pipeline.engine import Session
from duomi_pipeline.engine.looking import Looked, look
from duomi_pipeline.orchestration.assets.images_config import ImagesConfig
from duomi_pipeline.orchestration.build import build_defs
from duomi_pipeline.orchestration.jobs import images_config
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY, PartitionRange
from duomi_pipeline.orchestration.partition_sync import track
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.processes import started
from duomi_pipeline_tests.prompts.harness import prompt_database

ONE_MODEL, OTHER_MODEL = "stabilityai/stable-diffusion-xl-base-1.0", "black-forest-labs/FLUX.1-dev"
LOCATION = "duomi_pipeline"
_SCHEMA = create_schema()
_STALENESS = """
query ($key: String!) { assetNodeOrError(assetKey: {path: ["generated_images"]}) { ... on AssetNode {
  staleStatus(partition: $key) staleCauses(partition: $key) { reason } } } }
"""
_BEGUN = """
import sys
from duomi_pipeline.engine import Session
from duomi_pipeline.settings import Settings
with Session(Settings.load(sys.argv[1]), "ui", sys.argv[2]) as session:
    session.ledger.start_run(session.run_id, "ui")
    print("working", flush=True)
    sys.stdin.read()
"""
_STATUSES = """
{ assetNodeOrError(assetKey: {path: ["generated_images"]}) { ... on AssetNode {
  partitionStats { numPartitions numMaterialized numFailed numMaterializing }
  assetPartitionStatuses { ... on DefaultPartitionStatuses {
    materializedPartitions failedPartitions unmaterializedPartitions materializingPartitions } } } } }
"""
BACKFILL = """
mutation ($keys: [String!]!) { launchPartitionBackfill(backfillParams: {
    partitionNames: $keys, assetSelection: [{path: ["generated_images"]}], tags: []}) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""


@dataclass(frozen=True)
class Materialized:
    """One materialization as the event log has it, its metadata as plain values."""

    asset: str
    partition: str | None
    metadata: Mapping[str, Any]
    tags: Mapping[str, str]

    @classmethod
    def of(cls, event: dg.AssetMaterialization) -> Self:
        """The same, of Dagster's own event."""
        said = {name: value.value for name, value in event.metadata.items()}
        return cls(event.asset_key.to_user_string(), event.partition, said, event.tags or {})


class Project:
    """A home folder with its prompts and settings, and what a person, the UI and the daemon do with it.

    Args:
        home: the folder; settings are said in its `duomi.toml`.
        instance: keeps Dagster's history.
        service: answers over HTTP.
    """

    def __init__(self, home: Path, instance: dg.DagsterInstance, service: SandboxServer) -> None:
        self.home, self.instance, self.service = home, instance, service
        self.folder = home / "out/prompt_json"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._said: dict[str, object] = {}
        self._loads = 0
        self._cursor: str | None = None
        self.configure(base_url=service.url, image_size="108x192", max_attempts=1, poll_interval=0.01)

    def configure(self, **settings: object) -> None:
        """Say some settings in `duomi.toml`."""
        self._said |= settings
        lines = [f"{name} = {json.dumps(value)}" for name, value in self._said.items()]
        (self.home / "duomi.toml").write_text("\n".join(lines))

    def write(self, stem: str, content: object = None, age: float = 60.0, **more: object) -> str:
        """Write a prompt file, last changed `age` seconds ago; text, or bytes as they are. Returns its prompt id."""
        path = self.folder / f"{stem}.json"
        text = content if content is not None else f"picture of {stem}"
        path.write_bytes(text if isinstance(text, bytes) else json.dumps({"image_prompt": text, **more}).encode())
        os.utime(path, (time.time() - age,) * 2)
        return f"json_{stem}"

    def write_many(self, count: int) -> list[str]:
        """Write prompt files `p00`, `p01`, …; returns their ids."""
        return [self.write(f"p{number:02}") for number in range(count)]

    def write_table(self, *texts: object) -> list[str]:
        """Make the prompt table; returns the ids of its rows."""
        path = self.home / "data/llm_video_batch.db"
        path.parent.mkdir()
        prompt_database(path, texts)
        return [f"db_{number}" for number, _ in enumerate(texts, 1)]

    def remove(self, prompt_id: str) -> None:
        """Delete a prompt file."""
        (self.folder / f"{prompt_id.removeprefix('json_')}.json").unlink()

    def settings(self) -> Settings:
        """The settings as they are now."""
        return Settings.load(self.home)

    def defs(self) -> dg.Definitions:
        """The definitions, loaded anew: what "Reload code location" does."""
        return build_defs(self.home)

    def look(self) -> list[str]:
        """Bring partitions and observations up to date; returns the partitions."""
        with Session(self.settings()) as session:
            track(self.instance, session.ledger, self.look_elsewhere())
        return self.partitions()

    def look_elsewhere(self) -> Looked:
        """Record what the sources say, of which Dagster is not told yet."""
        with Session(self.settings()) as session:
            return look(session.ledger, session.settings, partitions=self.partitions())

    def partitions(self) -> list[str]:
        """The partition keys, in Dagster's order."""
        return list(self.instance.get_dynamic_partitions(PARTITIONS_NAME))

    def run(
        self, first: str, last: str | None = None, *, job: str = "regenerate_images", **config: Any
    ) -> dg.ExecuteInProcessResult:
        """Materialize a range of partitions: with the job's own config, as the launchpad shows it, or with another."""
        definition = self.defs().resolve_job_def(job)
        own = definition.get_run_config_for_partition_key(first)
        return self.execute(
            definition,
            run_config=images_config(ImagesConfig(**config)) if config else own,
            tags=PartitionRange(first, last or first).tags,
        )

    def execute(self, job: dg.JobDefinition, **how: Any) -> dg.ExecuteInProcessResult:
        """One run in this process."""
        return job.execute_in_process(instance=self.instance, raise_on_error=False, **how)

    def materialize(self, *assets: str) -> dg.ExecuteInProcessResult:
        """Materialize unpartitioned assets."""
        job = self.defs().resolve_implicit_global_asset_job_def()
        return self.execute(job, asset_selection=[dg.AssetKey(name) for name in assets])

    def events(
        self, run: dg.ExecuteInProcessResult, asset: str = "generated_images"
    ) -> dict[str | None, "Materialized"]:
        """What the event log says a run materialized of an asset, by partition."""
        found = [event for event in self.logged(run) if event.asset == asset]
        assert len({event.partition for event in found}) == len(found), "a partition was logged twice"
        return {event.partition: event for event in found}

    def logged(self, run: dg.ExecuteInProcessResult) -> list["Materialized"]:
        """All materializations in the event log of a run."""
        entries = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        return [Materialized.of(entry.asset_materialization) for entry in entries if entry.asset_materialization]

    def materialized_and_failed(self) -> tuple[set[str], set[str]]:
        """The partitions of `generated_images` that the event storage has as materialized and as failed."""
        storage, keys = self.instance.event_log_storage, set(self.partitions())
        done = storage.get_materialized_partitions(IMAGES_KEY) & keys
        with self.workspace() as workspace:
            statuses = self.graphql(_STATUSES, workspace)["assetNodeOrError"]
        seen = statuses["assetPartitionStatuses"]
        assert set(seen["materializedPartitions"]) == done - set(seen["failedPartitions"])
        assert statuses["partitionStats"]["numMaterialized"] == len(seen["materializedPartitions"])
        assert statuses["partitionStats"]["numFailed"] == len(seen["failedPartitions"])
        return set(seen["materializedPartitions"]), set(seen["failedPartitions"])

    def posts(self) -> list[str | None]:
        """The prompts of all requests that reached the service."""
        return [post.prompt for post in self.service.books.posts()]

    @contextmanager
    def workspace(self) -> Iterator[WorkspaceProcessContext]:
        """What web server and daemon work with: the code location, loaded from a module file."""
        self._loads += 1  # Dagster keeps what it loaded of a file as long as the process lives
        module = self.home / f"location_{self._loads}.py"
        module.write_text(
            "from duomi_pipeline.orchestration.build import build_defs\n"
            "from pathlib import Path\n"
            f"defs = build_defs(Path({str(self.home)!r}))\n"
        )
        origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file=str(module)), location_name=LOCATION)
        with warnings.catch_warnings():
            # Dagster's own snapshots and backfills use what it deprecates itself.
            warnings.filterwarnings("ignore", r"Property `ScheduleDefinition\.environment_vars`", DeprecationWarning)
            warnings.filterwarnings("ignore", r"Function `AssetSelection\.sources`", DeprecationWarning)
            with WorkspaceProcessContext(self.instance, InProcessWorkspaceLoadTarget(origin)) as context:
                yield context

    def graphql(self, query: str, workspace: WorkspaceProcessContext, **variables: object) -> Any:
        """What the UI is told."""
        request = workspace.create_request_context()
        result = asyncio.run(_SCHEMA.execute_async(query, context_value=request, variable_values=variables))
        assert result.errors is None, result.errors
        return result.data

    def staleness(self, keys: Iterable[str]) -> dict[str, str]:
        """Per partition what the UI shows: `FRESH`, `MISSING`, or the reasons why it is stale."""
        found = {}
        with self.workspace() as workspace:
            for key in keys:
                node = self.graphql(_STALENESS, workspace, key=key)["assetNodeOrError"]
                reasons = [cause["reason"] for cause in node["staleCauses"]]
                found[key] = "; ".join(reasons) if node["staleStatus"] == "STALE" else node["staleStatus"]
        return found

    def backfill(self, keys: Sequence[str]) -> tuple[str, list[dg.DagsterRun]]:
        """Backfill partitions as the UI does, to the end; returns its status and its runs, oldest first."""
        with self.workspace() as workspace:
            launched = self.graphql(BACKFILL, workspace, keys=list(keys))["launchPartitionBackfill"]
            backfill_id = launched["backfillId"]
            for _ in range(4):
                self.plan_backfills(workspace)
                self._work_off_queue(workspace)
                backfill = self.instance.get_backfill(backfill_id)
                if backfill and backfill.status.value != "REQUESTED":
                    runs = self.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill_id}))
                    return backfill.status.value, list(reversed(runs))
        raise AssertionError("the backfill did not end")

    def plan_backfills(self, workspace: WorkspaceProcessContext) -> None:
        """One look of the daemon at backfills: it puts their runs into the queue."""
        assert list(execute_backfill_iteration(workspace, logging.getLogger("backfill"))) == []

    def daemon_tick(self, sensor: str = "new_prompts") -> Any:
        """Switch a sensor on and let the daemon look once, and run what it asks for; returns the tick."""
        with self.workspace() as workspace:
            location = workspace.create_request_context().get_code_location(LOCATION)
            remote = location.get_repository("__repository__").get_sensor(sensor)
            self.instance.start_sensor(remote)
            list(execute_sensor_iteration(workspace, logging.getLogger("sensor"), None, None))
            self._work_off_queue(workspace)
            return self.instance.get_ticks(remote.get_remote_origin_id(), remote.selector_id, limit=1)[0]

    def start_run(self, status: dg.DagsterRunStatus, tags: Mapping[str, str], asset: str = "generated_images") -> None:
        """Have a run in some status that nobody executes."""
        with self.workspace() as workspace:
            location = workspace.create_request_context().get_code_location(LOCATION)
            origin = location.get_repository("__repository__").get_full_job("__ASSET_JOB").get_remote_origin()
        create_run_for_test(
            self.instance,
            "__ASSET_JOB",
            status=status,
            tags=dict(tags),
            asset_selection=frozenset({dg.AssetKey(asset)}),
            remote_job_origin=origin,
        )

    def leave_dead_run(self, key: str) -> str:
        """Have a run of one partition whose process was killed; returns its id."""
        self.start_run(dg.DagsterRunStatus.STARTED, {"dagster/partition": key})
        (run,) = self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        command = [sys.executable, "-c", _BEGUN, str(self.home), run.run_id]
        with started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
            process.kill()
        return run.run_id

    def _work_off_queue(self, workspace: WorkspaceProcessContext) -> None:
        for run in reversed(self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))):
            self.instance.launch_run(run.run_id, workspace.create_request_context())

    def tick(self, defs: dg.Definitions | None = None, sensor: str = "new_prompts") -> SensorExecutionData:
        """One look of a sensor, as Dagster's code server evaluates it; nothing is done about it.

        Args:
            defs: loaded earlier; default: anew.
            sensor: its name.
        """
        defs = defs or self.defs()
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self._cursor if sensor == "new_prompts" else None,
            repository_def=defs.get_repository_def(),
            resources={"duomi": DuomiResource(home=str(self.home))},
        ) as context:
            return defs.resolve_sensor_def(sensor).evaluate_tick(context)

    def obey(self, tick: SensorExecutionData) -> None:
        """Do what a tick asks for, as the daemon does, but for its runs."""
        self._cursor = tick.cursor
        for event in tick.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in tick.dynamic_partitions_requests or ():
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions(PARTITIONS_NAME, list(request.partition_keys))
            else:
                for key in request.partition_keys:
                    self.instance.delete_dynamic_partition(PARTITIONS_NAME, key)

    def scheduled(self) -> list[dg.RunRequest]:
        """The runs that `catch_up` asks for."""
        # Left open, the context's own instance would be closed by the garbage collector, in the midst of some other test.
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=datetime(2026, 1, 5, 6, tzinfo=UTC),
            repository_def=self.defs().get_repository_def(),
            resources={"duomi": DuomiResource(home=str(self.home))},
        ) as context:
            return list(self.defs().resolve_schedule_def("catch_up").evaluate_tick(context).run_requests or ())


def ranges(requests: Iterable[dg.RunRequest]) -> list[PartitionRange]:
    """The ranges of partitions that run requests are about."""
    return [range_of(request.tags) for request in requests]


def range_of(tags: Mapping[str, str]) -> PartitionRange:
    """The range of partitions that a run's tags say."""
    return PartitionRange(tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"])


def added(tick: SensorExecutionData) -> list[str]:
    """The partitions that a tick adds."""
    found = tick.dynamic_partitions_requests or ()
    return [key for r in found if isinstance(r, dg.AddDynamicPartitionsRequest) for key in r.partition_keys]


def retired(tick: SensorExecutionData) -> list[str]:
    """The partitions that a tick deletes."""
    found = tick.dynamic_partitions_requests or ()
    return [key for r in found if isinstance(r, dg.DeleteDynamicPartitionsRequest) for key in r.partition_keys]


def failure_text(run: dg.ExecuteInProcessResult) -> str:
    """Why a run failed, in the words that the UI shows."""
    return failure_of(run).description or ""


def failure_of(run: dg.ExecuteInProcessResult) -> UserFailureData:
    """The failure that a run's body raised; any other error is none."""
    failure = _failed_step(run).user_failure_data
    assert failure is not None, step_error(run)
    return failure


def step_error(run: dg.ExecuteInProcessResult) -> str:
    """The error that a run's step ended with."""
    error = _failed_step(run).error
    assert error is not None
    return (error.cause or error).message


def _failed_step(run: dg.ExecuteInProcessResult) -> StepFailureData:
    return next(event for event in run.all_events if event.is_step_failure).step_failure_data
