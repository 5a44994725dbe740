"""The name under which homes of version 0.1 have this storage in their `dagster.yaml`."""

from duomi_pipeline.orchestration.event_log.postgres import BatchingPostgresEventLogStorage

__all__ = ["BatchingPostgresEventLogStorage"]
