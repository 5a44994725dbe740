"""The manifest as Parquet, with each column's description, and the types in which pandas shall read it.

Pyarrow reads the rows as JSON: given Python's values, it imports pandas, which takes 0.2 s and 50 MB.
"""

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Arrow's own pool keeps what was freed: 45 MB more with 100,000 rows, and a quarter more CPU time. It is made when
# Arrow is imported, and takes 6 MB with 500 rows, too.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
# Arrow imports NumPy, whose algebra, which nobody here uses, would start a thread for each processor: 60 ms of CPU.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from duomi_pipeline.manifest.columns import COLUMNS, SCHEMA, Type
from duomi_pipeline.manifest.edition import Kept

_TYPES: Mapping[Type, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("ms", tz="UTC"),
    "list of text": pa.list_(pa.string()),
    "JSON": pa.string(),
}
_FEW_VALUES = ["source", "state", "size", "received_size", "model", "host_kind", "currency", "error_class"]
_GROUP = 2_000  # rows that are compressed, and read again, together
pa.set_memory_pool(pa.system_memory_pool())  # where something else had imported it


class ParquetFile:
    """Written from front to back; rows that stay are copied from the last file in their columns.

    Args:
        draft: the file to write.
        last: the one before.
    """

    def __init__(self, draft: Path, last: Path) -> None:
        fields = [
            pa.field(column.name, _TYPES[column.type], metadata={"description": column.description})
            for column in SCHEMA
        ]
        self._schema = pa.schema(fields, metadata={"pandas": _types_in_pandas()})
        self._file = pq.ParquetWriter(draft, self._schema, use_dictionary=_FEW_VALUES)
        self._last = last
        self._groups: Iterator[tuple[int, pa.Table]] | None = None
        self._group: tuple[int, pa.Table] = (0, pa.Table.from_batches([], self._schema))
        self._waiting: list[pa.Table] = []

    def keep(self, part: Kept) -> None:
        """Copy rows of the last file; parts follow one another as they stand in it."""
        if self._groups is None:
            self._groups = _groups_of(self._last)
        start = part.start
        while start < part.stop:
            begins, table = self._group
            if start >= begins + table.num_rows:
                self._group = next(self._groups)
                continue
            some = table.slice(start - begins, part.stop - start)
            start += some.num_rows
            self._put(some)

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write some rows, not too many at a time."""
        names = self._schema.names
        lines = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows)
        data = "\n".join(lines).encode()
        how = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
        found = pj.read_json(io.BytesIO(data), how, pj.ParseOptions(explicit_schema=self._schema))
        self._put(pa.Table.from_batches(found.to_batches(), self._schema))

    def close(self) -> None:
        """Write the end."""
        with self._file:
            self._write()

    def _put(self, table: pa.Table) -> None:
        self._waiting.append(table)
        if sum(some.num_rows for some in self._waiting) >= _GROUP:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            self._file.write_table(pa.concat_tables(self._waiting))
            self._waiting.clear()


def _groups_of(file: Path) -> Iterator[tuple[int, pa.Table]]:
    """The groups of rows of a file, each with the number of its first row."""
    begins = 0
    with pq.ParquetFile(file) as opened:
        for number in range(opened.num_row_groups):
            table = opened.read_row_group(number, use_threads=False)
            yield begins, table.replace_schema_metadata(None)
            begins += table.num_rows


def _types_in_pandas() -> str:
    """What pandas notes in its own Parquet files: by this it reads a column with nulls in the type that we mean."""
    columns = [
        {"name": name, "field_name": name, "pandas_type": None, "numpy_type": kind, "metadata": None}
        for name, kind in COLUMNS.items()
    ]
    return json.dumps({"index_columns": [], "column_indexes": [], "columns": columns})
