"""Dagster's event log on SQLite with one transaction for many events; named in `dagster.yaml`, and optional.

Dagster's own writes each asset event in two transactions, on connections of their own: about 10 ms an event, more than
all else that a picture costs here. What a kill loses of an unwritten batch the next run logs again from the ledger.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from dagster import DagsterEventType, EventLogEntry, Field, StringSource
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

_BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"  # Dagster hands batches over only where this is set
_MOST = "100"
_TEMPORARY = "DUOMI_TEMPORARY_EVENTS"
_BATCHED = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_OBSERVATION,
}


class BatchingEventLogStorage(SqliteEventLogStorage):
    """SQLite event log that writes a batch of asset events of one run at once; all else as its parent does.

    Args:
        base_dir: where the databases lie; default `history/runs` in `DAGSTER_HOME`, as Dagster's own.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        os.environ.setdefault(_BATCH_SIZE, _MOST)

    @classmethod
    def config_type(cls) -> Any:
        """What `dagster.yaml` may say."""
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster."""
        home = os.environ.get("DAGSTER_HOME")
        folder = str(Path(home) / "history" / "runs") if home else os.environ.get(_TEMPORARY)
        return cls(config_value.get("base_dir") or folder or _temporary_folder(), inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write a batch into the run's database and into the index, one transaction each."""
        if len({event.run_id for event in events}) > 1 or not all(map(_is_batched, events)):
            super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(events[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_transaction() as connection:
            insert = SqlEventLogStorageTable.insert().returning(
                SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
            )
            ids = list(connection.execute(insert, rows).scalars())
            self._store_asset_event_tags(connection, events, ids)
            # An asset's row holds its latest event: those before it in the batch would be overwritten at once.
            for event, event_id in {
                _asset_and_kind(event): (event, number) for event, number in zip(events, ids, strict=True)
            }.values():
                self._store_asset_event(connection, event, event_id)


def _temporary_folder() -> str:
    """A folder for this process and those that it starts: `dagster dev` without a home throws its history away, too."""
    folder = tempfile.mkdtemp(prefix="dagster_events_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_TEMPORARY] = folder
    return folder


def _is_batched(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in _BATCHED


def _asset_and_kind(event: EventLogEntry) -> tuple[str, str]:
    found = event.get_dagster_event()
    return (found.asset_key.to_string() if found.asset_key else "", found.event_type_value)
