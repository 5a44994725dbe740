"""Dagster's event log on PostgreSQL with one transaction for many events; named in `dagster.yaml`.

Needs the extra `postgres`; no other module imports this one. dagster-postgres itself writes observations and
materializations in batches, but not the planned materializations of a run. Like it, this class keeps no connection
open: that would save only 0.1 to 0.3 ms per event.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config
from sqlalchemy import func, select

from duomi_pipeline.orchestration.event_log.sqlite import EventBatches

_ADDING = 7_042_316_880_121_504_963  # any number that no other lock of this database has


class BatchingPostgresEventLogStorage(EventBatches, PostgresEventLogStorage):
    """PostgreSQL event log with events in batches, and partitions that outlive runs; otherwise like its parent."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Called by Dagster. Needed because the parent's method always returns the parent class."""
        return cls(
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
            token_provider=get_token_provider_from_config(config_value),
        )

    def add_dynamic_partitions(self, partitions_def_name: str, partition_keys: Sequence[str]) -> None:
        """Add partitions, one process at a time: two that add the same ones in other orders would block each other."""
        with self.index_transaction() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(_ADDING)))
            super().add_dynamic_partitions(partitions_def_name, partition_keys)
