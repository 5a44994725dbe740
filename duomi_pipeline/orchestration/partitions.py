"""The partitions: one per prompt id, added and retired as the sources change."""

import dagster as dg

PARTITIONS_NAME = "prompt_id"
prompt_partitions = dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
