"""The manifest as Parquet, with the types that pandas shall read, and each column's description."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from duomi_pipeline.manifest.columns import COLUMNS, SCHEMA, Row, Type

_PARQUET: Mapping[Type, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("ms", tz="UTC"),
    "list of text": pa.list_(pa.string()),
    "JSON": pa.string(),
}


def write_parquet(table: Sequence[Row], path: Path) -> None:
    """Write rows as a Parquet file."""
    fields = [
        pa.field(column.name, _PARQUET[column.type], metadata={"description": column.description}) for column in SCHEMA
    ]
    pq.write_table(pa.Table.from_pylist(table, schema=pa.schema(fields, metadata={"pandas": _types_in_pandas()})), path)


def _types_in_pandas() -> str:
    """What pandas notes in its own Parquet files: by this it reads a column with nulls in the type that we mean.

    Written here, because pandas takes longer to import, and more memory, than all pictures of a small run.
    """
    columns = [
        {"name": name, "field_name": name, "pandas_type": None, "numpy_type": kind, "metadata": None}
        for name, kind in COLUMNS.items()
    ]
    return json.dumps({"index_columns": [], "column_indexes": [], "columns": columns})
