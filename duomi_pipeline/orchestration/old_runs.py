"""Dagster's old runs: which of them can be deleted, and what they take.

A run is deleted with its events, its database and its captured output. The newest event of each partition stays (see
`event_log.sqlite`), so partitions remain materialized and fresh.
"""

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import sqlalchemy
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionsFilter, BulkActionStatus
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from duomi_pipeline.common.files import bytes_of
from duomi_pipeline.common.processes import interrupted_afterwards
from duomi_pipeline.maintenance.old_files import Kind, Removable
from duomi_pipeline.orchestration.event_log.sqlite import BatchingEventLogStorage, EventBatches

_BACKFILL = "dagster/backfill"


class NotKeptError(Exception):
    """The event log of this home would lose, with a run, the partitions that it materialized."""


def old_runs(instance: dg.DagsterInstance, days: int, now: datetime) -> Removable:
    """The finished runs that were last updated so many days ago.

    Left are runs of backfills in progress, and the newest run of all: with its events ids would go that Dagster gives
    again to later events, which sensors would then take for seen.

    Raises:
        NotKeptError: this home's `dagster.yaml` names another event log.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, EventBatches):
        raise NotKeptError(
            "Dagster's runs are left: with the event log that this dagster.yaml names, partitions would show as "
            "missing. See docs/operations.md, What grows."
        )
    begun = BulkActionsFilter(statuses=[each for each in BulkActionStatus if each not in BULK_ACTION_TERMINAL_STATUSES])
    backfills = {backfill.backfill_id for backfill in instance.get_backfills(filters=begun)}
    newest = {record.dagster_run.run_id for record in instance.get_run_records(limit=1, order_by="update_timestamp")}
    filters = dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=now - timedelta(days=days))
    runs = [
        run.run_id
        for run in instance.get_runs(filters)
        if run.run_id not in newest and run.tags.get(_BACKFILL) not in backfills
    ]
    size = sum(bytes_of(_files(instance, storage, run_id)) for run_id in runs)
    what = f"finished Dagster runs over {days} days old, with their events and output"
    return Removable(Kind.RUNS, what, len(runs), size, lambda: _remove(instance, storage, list(reversed(runs))))


def _remove(instance: dg.DagsterInstance, storage: EventBatches, runs: Sequence[str]) -> None:
    try:
        _delete(instance, storage, runs)
    except sqlalchemy.exc.OperationalError as error:
        raise OSError(f"Dagster's database does not take it now: {error.orig}") from error


def _delete(instance: dg.DagsterInstance, storage: EventBatches, runs: Sequence[str]) -> None:
    for run_id in runs:
        with interrupted_afterwards():
            with contextlib.suppress(FileNotFoundError):  # another clean deletes the same
                instance.compute_log_manager.delete_logs(prefix=[run_id])
            storage.delete_events(run_id)
            # Last: where the process is killed before it, the next clean finds the run and removes what is left of it.
            instance.run_storage.delete_run(run_id)
    # Shrinking locks the databases for seconds, in which a run at work would fail.
    if runs and not instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES), limit=1):
        with interrupted_afterwards():
            _shrink(instance, storage)


def _shrink(instance: dg.DagsterInstance, storage: EventBatches) -> None:
    """Give the free pages of SQLite databases back to the file system; PostgreSQL uses its own again."""
    if isinstance(storage, BatchingEventLogStorage) and isinstance(instance.run_storage, SqlRunStorage):
        for opened in (storage.index_connection(), instance.run_storage.connect()):
            # Another process is writing: the pages are used again, and a later clean shrinks the file.
            with contextlib.suppress(sqlalchemy.exc.OperationalError), opened as connection:
                connection.execute(sqlalchemy.text("VACUUM"))


def _files(instance: dg.DagsterInstance, storage: EventBatches, run_id: str) -> list[Path]:
    databases = storage.files_of(run_id) if isinstance(storage, BatchingEventLogStorage) else ()
    output = Path(instance.storage_directory(), run_id).rglob("*")
    return [*databases, *output]
