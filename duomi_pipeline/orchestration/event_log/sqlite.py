"""Dagster's event log with one transaction for many events: what all databases share, and SQLite. Optional.

Dagster's own writes each asset event in two transactions, on connections of their own: about 10 ms an event, more than
all else that a picture costs here. What a kill loses of an unwritten batch the next run logs again from the ledger.
"""

import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

from duomi_pipeline.orchestration.sqlite_storage import CONFIG, accept_percent_signs, database_folder, sqlite_url

_BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"  # Dagster hands batches over only where this is set
_MOST = "100"
_BATCHED = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_OBSERVATION,
}


class EventBatches(SqlEventLogStorage):
    """Mixin for one of Dagster's SQL event logs: asset events of one run that come together are one transaction."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)  # type: ignore[no-untyped-call]
        os.environ.setdefault(_BATCH_SIZE, _MOST)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write neighbours of one run together, and what is no such event as the parent does."""
        # In a backfill's batch the intended asset checks follow its partitions.
        for (_, batched), neighbours in groupby(events, lambda event: (event.run_id, _is_batched(event))):
            group = list(neighbours)
            if batched:
                self._store_together(group, [self._event_to_row(event) for event in group])
            else:
                super().store_event_batch(group)

    def _store_together(self, events: Sequence[EventLogEntry], rows: Sequence[dict[str, Any]]) -> None:
        insert = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
        with self.index_transaction() as connection:
            ids = list(connection.execute(insert, rows).scalars())
            self._store_asset_event_tags(connection, events, ids)
            # An asset's row holds its latest event: those before it in the batch would be overwritten at once.
            latest = {_asset_and_kind(event): (event, number) for event, number in zip(events, ids, strict=True)}
            for place in sorted(latest):  # in one order everywhere, or two processes could wait for each other
                self._store_asset_event(connection, *latest[place])


class BatchingEventLogStorage(EventBatches, SqliteEventLogStorage):
    """SQLite event log that writes a batch of asset events of one run at once; all else as its parent does.

    Args:
        base_dir: where the databases lie; default `history/runs` in `DAGSTER_HOME`, as Dagster's own.
    """

    @classmethod
    def config_type(cls) -> Any:
        """What `dagster.yaml` may say."""
        return CONFIG

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster."""
        accept_percent_signs()
        return cls(str(database_folder(config_value, "history/runs")), inst_data)

    def conn_string_for_shard(self, shard_name: str) -> str:
        """The URL of a run's database, or of the index of all."""
        return sqlite_url(Path(self._base_dir), shard_name)

    def _store_together(self, events: Sequence[EventLogEntry], rows: Sequence[dict[str, Any]]) -> None:
        """Into the run's own database, too."""
        with self.run_connection(events[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        super()._store_together(events, rows)


def _is_batched(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in _BATCHED


def _asset_and_kind(event: EventLogEntry) -> tuple[str, str]:
    found = event.get_dagster_event()
    return (found.asset_key.to_string() if found.asset_key else "", found.event_type_value)
