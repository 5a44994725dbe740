"""Put image runs into the queue of an instance, for its daemon and workers, as the UI does."""

import asyncio
import warnings
from collections.abc import Sequence

import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_graphql.schema import create_schema

from duomi_pipeline.orchestration.assets.images_config import ImagesConfig
from duomi_pipeline.orchestration.instance import LOCATION, workspace_target
from duomi_pipeline.orchestration.jobs import images_config
from duomi_pipeline.orchestration.partition_ranges import PartitionRange
from duomi_pipeline.orchestration.run_tags import COMMAND_TAG
from duomi_pipeline.settings import Settings

_LAUNCH = """
mutation ($run: ExecutionParams!) { launchRun(executionParams: $run) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }
"""


class NotQueuedError(Exception):
    """Dagster did not take a run; the message is its own."""


def queue_runs(
    instance: dg.DagsterInstance,
    settings: Settings,
    ranges: Sequence[PartitionRange],
    config: ImagesConfig,
    command: str,
) -> list[str]:
    """Put one run per range into the queue. Returns their ids.

    They are planned here, under the settings of this home: workers that have others refuse them.

    Args:
        instance: whose workers are to work on them.
        settings: of the home folder.
        ranges: of partitions.
        config: of all runs.
        command: value of their tag `COMMAND_TAG`.

    Raises:
        NotQueuedError: Dagster does not take a run; those before it are in the queue.
    """
    schema, run_config = create_schema(), images_config(config).to_config_dict()  # type: ignore[no-untyped-call]
    queued = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        with WorkspaceProcessContext(
            instance, workspace_target(settings), code_server_log_level="warning"
        ) as workspace:
            for found in ranges:
                tags = [{"key": key, "value": value} for key, value in {**found.tags, COMMAND_TAG: command}.items()]
                run = {
                    "selector": {
                        "repositoryLocationName": LOCATION,
                        "repositoryName": "__repository__",
                        "jobName": "generate_missing_images",
                    },
                    "runConfigData": run_config,
                    "executionMetadata": {"tags": tags},
                }
                request = workspace.create_request_context()
                answer = asyncio.run(schema.execute_async(_LAUNCH, context_value=request, variable_values={"run": run}))
                launched = (answer.data or {}).get("launchRun") or {}
                if launched.get("__typename") != "LaunchRunSuccess":
                    raise NotQueuedError(launched.get("message") or str(answer.errors or launched))
                queued.append(str(launched["run"]["runId"]))
    return queued
