"""Log many events in Dagster at once, so that a storage with batches can write them in one transaction.

Dagster has no public function for this; tests check that the internal ones used here work.
"""

import logging
import os
import time
import uuid
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    DagsterEventBatchMetadata,
    StepMaterializationData,
)
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

_MOMENT = 0.001  # seconds; Dagster's UI shows one of several events of an asset in the same millisecond


def log_events(
    context: dg.AssetExecutionContext, events: Sequence[dg.AssetMaterialization], at: Sequence[float] | None = None
) -> None:
    """Log materializations in one batch, each at a time of its own; otherwise like `context.log_event`.

    Args:
        at: when each happened, in seconds since 1970; `None`: now.
    """
    step, last = context.get_step_execution_context(), 0.0
    moments = at or [time.time()] * len(events)
    for event, moment, place in zip(events, moments, _places(len(events)), strict=True):
        last = max(moment, last + _MOMENT)
        dagster_event = DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name=step.job_name,
            step_handle=step.step.handle,
            node_handle=step.step.node_handle,
            step_kind_value=step.step.kind.value,
            logging_tags=step.event_tags,
            event_specific_data=StepMaterializationData(event),
            message="Materialized value.",
            pid=os.getpid(),
        )
        context.instance.report_dagster_event(dagster_event, context.run.run_id, logging.DEBUG, place, last)


def report_planned(context: dg.AssetExecutionContext, asset: dg.AssetKey, keys: Sequence[str]) -> None:
    """Log in one batch which partitions a run is about, as Dagster does for a run that is started with partitions.

    By these events it shows them as being made, and those without a picture at the end of a failed run as failed.
    """
    step = context.get_step_execution_context()
    for key, place in zip(keys, _places(len(keys)), strict=True):
        planned = AssetMaterializationPlannedData(asset, partition=key)
        event = DagsterEvent.build_asset_materialization_planned_event(step.job_name, step.step.key, planned)
        context.instance.report_dagster_event(event, context.run.run_id, logging.DEBUG, place)


def report_events(
    instance: dg.DagsterInstance, events: Sequence[dg.AssetObservation | dg.AssetMaterialization]
) -> None:
    """Log events of no run in one batch; otherwise like `instance.report_runless_asset_event`."""
    for event, place in zip(events, _places(len(events)), strict=True):
        if isinstance(event, dg.AssetObservation):
            kind = dg.DagsterEventType.ASSET_OBSERVATION
            data: AssetObservationData | StepMaterializationData = AssetObservationData(event)
        else:
            kind = dg.DagsterEventType.ASSET_MATERIALIZATION
            data = StepMaterializationData(event)
        dagster_event = DagsterEvent(event_type_value=kind.value, job_name=RUNLESS_JOB_NAME, event_specific_data=data)
        instance.report_dagster_event(dagster_event, RUNLESS_RUN_ID, batch_metadata=place)


def _places(count: int) -> Iterator[DagsterEventBatchMetadata]:
    batch = uuid.uuid4().hex
    return (DagsterEventBatchMetadata(batch, number == count) for number in range(1, count + 1))
