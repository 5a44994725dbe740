"""The manifest's files, each whole or not at all. CSV and SQLite are in `csv_file` and `sqlite`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from duomi_pipeline.common.files import drafts, sweep_drafts
from duomi_pipeline.manifest.columns import SCHEMA, Type
from duomi_pipeline.manifest.csv_file import write_csv
from duomi_pipeline.manifest.sqlite import write_database
from duomi_pipeline.prompts import Problem

Rows = Sequence[Sequence[Any]]
_LEFT_OUT = "left_out"
_NAMES = [column.name for column in SCHEMA]
_PARQUET: Mapping[Type, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("ms", tz="UTC"),
    "list of text": pa.list_(pa.string()),
    "JSON": pa.string(),
}


def write_manifest(table: pd.DataFrame, left_out: Sequence[Problem], folder: Path) -> dict[str, Path]:
    """Write `results.parquet`, `.csv`, `.json`, `.db` and `left_out.json`; if one cannot be, all stay as they were.

    Whoever has one of them open keeps reading what it was.

    Args:
        table: a row per prompt.
        left_out: rows and files that give no prompt.
        folder: where the files go; made if it is not there.

    Returns:
        The paths of the first four by ending.

    Raises:
        OSError: the folder cannot be written, or is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep_drafts(folder)
    rows = _plain_rows(table)
    writers: dict[str, Callable[[Path], None]] = {
        "parquet": lambda path: _write_parquet(table, path),
        "csv": lambda path: write_csv(_NAMES, rows, path),
        "json": lambda path: _write_json(rows, path),
        "db": lambda path: write_database(_NAMES, rows, left_out, path),
        _LEFT_OUT: lambda path: _write_left_out(left_out, path),
    }
    written = {kind: folder / f"results.{kind}" for kind in writers} | {_LEFT_OUT: folder / "left_out.json"}
    with drafts(*written.values(), on_disk=True) as made:
        for write, draft in zip(writers.values(), made, strict=True):
            write(draft)
    return {kind: path for kind, path in written.items() if kind != _LEFT_OUT}


def _plain_rows(table: pd.DataFrame) -> Rows:
    """The rows as Python's own values: `None` for null, times in ISO 8601."""
    columns = []
    for column in SCHEMA:
        values = table[column.name]
        known = values.notna().tolist()
        shown = [one.isoformat(timespec="milliseconds") for one in values] if column.type == "time" else values.tolist()
        columns.append([value if there else None for value, there in zip(shown, known, strict=True)])
    return list(zip(*columns, strict=True))


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    fields = [
        pa.field(column.name, _PARQUET[column.type], metadata={"description": column.description}) for column in SCHEMA
    ]
    pq.write_table(pa.Table.from_pandas(table, schema=pa.schema(fields), preserve_index=False), path)


def _write_json(rows: Rows, path: Path) -> None:
    """An array, one row a line: readable for people and `grep`."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("[")
        for number, row in enumerate(rows):
            record = dict(zip(_NAMES, row, strict=True))
            record["data"] = json.loads(record["data"]) if record["data"] else None
            file.write(f"{',' if number else ''}\n{json.dumps(record, ensure_ascii=False, allow_nan=False)}")
        file.write("\n]\n")


def _write_left_out(problems: Sequence[Problem], path: Path) -> None:
    """Rows and files without a usable prompt, with reasons: a JSON array, one per line."""
    lines = ",".join(f"\n{json.dumps(asdict(problem), ensure_ascii=False)}" for problem in problems)
    path.write_text(f"[{lines}\n]\n", encoding="utf-8", newline="\n")
