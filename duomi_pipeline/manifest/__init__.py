"""The results manifest: one row per prompt, whatever its state, as Parquet, CSV, JSON and SQLite. No Dagster."""

from duomi_pipeline.manifest.columns import COLUMNS, DESCRIPTIONS, SCHEMA, Column, Row
from duomi_pipeline.manifest.rows import check_readable, planned_rows
from duomi_pipeline.manifest.write import write_manifest

__all__ = ["COLUMNS", "DESCRIPTIONS", "SCHEMA", "Column", "Row", "check_readable", "planned_rows", "write_manifest"]
