"""Log many events in Dagster at once, so that a storage with batches can write them in one transaction.

Dagster has no public function for this; tests check that the internal ones used here work.
"""

import uuid
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.events import AssetObservationData, DagsterEvent, DagsterEventBatchMetadata
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID


def log_events(context: dg.AssetExecutionContext, events: Sequence[dg.AssetMaterialization]) -> None:
    """Log materializations in one batch; otherwise like `context.log_event`."""
    step = context.get_step_execution_context()
    for event, place in zip(events, _places(len(events)), strict=True):
        DagsterEvent.asset_materialization(step, event, place)


def report_observations(instance: dg.DagsterInstance, events: Sequence[dg.AssetObservation]) -> None:
    """Log observations in one batch; otherwise like `instance.report_runless_asset_event`."""
    for event, place in zip(events, _places(len(events)), strict=True):
        dagster_event = DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_OBSERVATION.value,
            job_name=RUNLESS_JOB_NAME,
            event_specific_data=AssetObservationData(event),
        )
        instance.report_dagster_event(dagster_event, RUNLESS_RUN_ID, batch_metadata=place)


def _places(count: int) -> Iterator[DagsterEventBatchMetadata]:
    batch = uuid.uuid4().hex
    return (DagsterEventBatchMetadata(batch, number == count) for number in range(1, count + 1))
