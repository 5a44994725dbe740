"""The name under which homes of version 0.1 have this storage in their `dagster.yaml`."""

from duomi_pipeline.orchestration.event_log.sqlite import BatchingEventLogStorage

__all__ = ["BatchingEventLogStorage"]
