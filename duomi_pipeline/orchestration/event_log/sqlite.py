"""Dagster's event log with one transaction for many events: the shared mixin, and the class for SQLite. Optional.

Dagster's own log writes each asset event in two transactions: about 10 ms per event, more than all other local work for
a picture. Events of a batch that a kill loses are logged again by the next run, from the ledger.

Where a run is deleted, by `duomi clean` or in the UI, Dagster's own log loses the materializations by which it knows
that a partition has its picture. Here the newest event of each partition stays.

A run over partitions of `generated_images` that is started in the UI plans the asset's checks too. They read all
pictures, and no such run executes them: Dagster's own log would show them as skipped or failed from then on, in place
of what they last found. Here they are not announced.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from dagster import DagsterEventType, DagsterInstance, EventLogEntry
from dagster._core.storage.event_log.schema import (
    AssetEventTagsTable,
    DynamicPartitionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, exists, select
from sqlalchemy.exc import IntegrityError

from duomi_pipeline.orchestration.event_log.rows import EventRows, Row
from duomi_pipeline.orchestration.sqlite_storage import (
    CONFIG,
    accept_percent_signs,
    database_folder,
    is_made,
    make_like,
    open_engine,
    sqlite_url,
)

_BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"  # Dagster hands batches over only where this is set
_MOST = "500"
_TRIES = 3  # of adding partitions while others add the same
_BATCHED = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_OBSERVATION,
}
# By the newest event of these types Dagster knows the status and the version of a partition.
_KEPT = (DagsterEventType.ASSET_MATERIALIZATION.value, DagsterEventType.ASSET_OBSERVATION.value)


class EventBatches(EventRows):
    """Mixin for Dagster's SQL event logs: events in batches, and partitions that outlive their runs."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)  # type: ignore[no-untyped-call]
        os.environ.setdefault(_BATCH_SIZE, _MOST)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write consecutive asset events of one run together; pass other events to the parent."""
        # In the batch of a backfill, events of planned asset checks follow those of its partitions.
        for (_, batched), neighbours in groupby(events, lambda event: (event.run_id, _is_batched(event))):
            group = list(neighbours)
            if batched:
                self._store_together(group, list(self._rows(group)))
            else:
                super().store_event_batch(group)

    def add_dynamic_partitions(self, partitions_def_name: str, partition_keys: Sequence[str]) -> None:
        """Add partitions. Dagster looks which are new, then adds them: another process may have added one between."""
        for _ in range(_TRIES - 1):
            with suppress(IntegrityError):
                return super().add_dynamic_partitions(partitions_def_name, partition_keys)
        return super().add_dynamic_partitions(partitions_def_name, partition_keys)

    def get_dynamic_partitions(self, partitions_def_name: str) -> Sequence[str]:
        """All partitions in the order in which they were added; an object for each row takes three times as long."""
        partitions = DynamicPartitionsTable.c
        query = select(partitions.partition).where(partitions.partitions_def_name == partitions_def_name)
        with self.index_connection() as connection:
            return list(connection.execute(query.order_by(partitions.id)).scalars())

    def delete_events_for_run(self, conn: Connection, run_id: str) -> None:
        """Delete the events of a run, but for the newest materialization and observation of each partition."""
        events, later = SqlEventLogStorageTable, SqlEventLogStorageTable.alias("later")
        is_superseded = exists().where(
            later.c.asset_key == events.c.asset_key,
            later.c.dagster_event_type == events.c.dagster_event_type,
            later.c.partition.is_not_distinct_from(events.c.partition),
            later.c.id > events.c.id,
        )
        is_kept = events.c.asset_key.is_not(None) & events.c.dagster_event_type.in_(_KEPT) & ~is_superseded
        gone = select(events.c.id).where(events.c.run_id == run_id, ~is_kept)
        conn.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(gone)))
        conn.execute(events.delete().where(events.c.id.in_(gone)))

    def store_asset_check_event(self, event: EventLogEntry, event_id: int | None) -> None:
        """Leave out the announcement of a check beside partitions of its asset; pass others to the parent."""
        planned = event.dagster_event_type == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
        if not (planned and self._plans_partitions(event)):
            super().store_asset_check_event(event, event_id)

    def _plans_partitions(self, event: EventLogEntry) -> bool:
        """Whether the run of a planned check is to make partitions of the asset that it checks."""
        events, check = SqlEventLogStorageTable.c, event.get_dagster_event().asset_check_planned_data
        partitions = select(events.id).where(
            events.run_id == event.run_id,
            events.asset_key == check.asset_key.to_string(),
            events.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
            events.partition.is_not(None),
        )
        with self.index_connection() as connection:
            return connection.execute(partitions.limit(1)).first() is not None

    def _store_together(self, events: Sequence[EventLogEntry], rows: Sequence[Row]) -> None:
        insert = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
        with self.index_transaction() as connection:
            ids = list(connection.execute(insert, rows).scalars())
            self._store_asset_event_tags(connection, events, ids)
            # The row of an asset holds only its latest event, so earlier ones of the batch are not written to it.
            kinds = [(row["asset_key"], row["dagster_event_type"]) for row in rows]
            latest = {kind: one for kind, *one in zip(kinds, events, ids, strict=True)}
            for place in sorted(latest):  # always in the same order, so that two processes cannot deadlock
                self._store_asset_event(connection, *latest[place])


class BatchingEventLogStorage(EventBatches, SqliteEventLogStorage):
    """SQLite event log with events in batches, and partitions that outlive their runs; otherwise like its parent.

    Args:
        base_dir: folder of the databases; default `history/runs` in `DAGSTER_HOME`, like Dagster's own log.
    """

    @classmethod
    def config_type(cls) -> Any:
        """The config schema for `dagster.yaml`."""
        return CONFIG

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Called by Dagster to create the storage."""
        accept_percent_signs()
        return cls(str(database_folder(config_value, "history/runs")), inst_data)

    def conn_string_for_shard(self, shard_name: str) -> str:
        """The URL of the database of a run, or of the index of all runs."""
        return sqlite_url(Path(self._base_dir), shard_name)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """A transaction on the database of a run, or on the index; see `sqlite_storage` for why not the parent's."""
        engine = open_engine(self.conn_string_for_shard(shard))
        with self._db_lock:
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        """Make the database of a run as the index is: Dagster reads all its migrations for each run."""
        index = open_engine(self.conn_string_for_shard(INDEX_SHARD_NAME))
        if is_made(engine):
            return
        if engine.url != index.url and is_made(index):
            make_like(engine, index)
        else:
            super()._initdb(engine, for_index_shard)

    def delete_events(self, run_id: str) -> None:
        """Delete the events of a run, and its own database as a whole: Dagster leaves that one empty, at 150 kB."""
        with self.index_transaction() as connection:
            self.delete_events_for_run(connection, run_id)
        if self.supports_global_concurrency_limits:
            self.free_concurrency_slots_for_run(run_id)
        self._initialized_dbs.discard(run_id)
        for path in self.files_of(run_id):
            path.unlink(missing_ok=True)

    def files_of(self, run_id: str) -> tuple[Path, ...]:
        """The files of a run's own database, whether or not they are there."""
        path = self.path_for_shard(run_id)
        return tuple(Path(f"{path}{ending}") for ending in ("", "-wal", "-shm"))

    def _store_together(self, events: Sequence[EventLogEntry], rows: Sequence[Row]) -> None:
        """Write the events to the run's own database, too."""
        with self.run_connection(events[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        super()._store_together(events, rows)


def _is_batched(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in _BATCHED


@contextmanager
def index_kept_open(instance: DagsterInstance) -> Iterator[None]:
    """A block in which the index of events stays open, where it is on SQLite.

    When its last connection ends, SQLite writes the log into the database and waits for the disk. Dagster opens one for
    each use: that was 70 times in a run of 500 pictures.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, BatchingEventLogStorage):
        yield
        return
    with open_engine(storage.conn_string_for_shard(INDEX_SHARD_NAME)).connect() as connection:
        connection.exec_driver_sql("PRAGMA schema_version")  # only what has read something is open
        yield
