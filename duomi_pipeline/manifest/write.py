"""The manifest's files, each whole or not at all. CSV and SQLite are in `csv_file` and `sqlite`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from duomi_pipeline.common.files import sweep_drafts
from duomi_pipeline.common.places import Place, replacing
from duomi_pipeline.manifest.columns import SCHEMA, Row
from duomi_pipeline.manifest.csv_file import write_csv
from duomi_pipeline.manifest.sqlite import write_database
from duomi_pipeline.prompts import Problem

Rows = Sequence[Sequence[Any]]
_LEFT_OUT = "left_out"
_NAMES = [column.name for column in SCHEMA]


def write_manifest(table: Sequence[Row], left_out: Sequence[Problem], folder: Place) -> dict[str, Place]:
    """Write `results.parquet`, `.csv`, `.json`, `.db` and `left_out.json`.

    On disk all stay as they were if one cannot be written; in object storage each is replaced as a whole.

    Whoever has one of them open keeps reading what it was.

    Args:
        table: a row per prompt.
        left_out: rows and files that give no prompt.
        folder: where the files go; a folder on disk is made if it is not there.

    Returns:
        The paths of the first four by ending.

    Raises:
        OSError: the folder cannot be written, or is full.
    """
    if isinstance(folder, Path):
        folder.mkdir(parents=True, exist_ok=True)
        sweep_drafts(folder)
    rows = _plain_rows(table)
    writers: dict[str, Callable[[Path], None]] = {
        "parquet": lambda path: _write_parquet(rows, path),
        "csv": lambda path: write_csv(_NAMES, rows, path),
        "json": lambda path: _write_json(rows, path),
        "db": lambda path: write_database(_NAMES, rows, left_out, path),
        _LEFT_OUT: lambda path: _write_left_out(left_out, path),
    }
    written: dict[str, Place] = {kind: folder / f"results.{kind}" for kind in writers} | {
        _LEFT_OUT: folder / "left_out.json"
    }
    with replacing(*written.values()) as made:
        for write, draft in zip(writers.values(), made, strict=True):
            write(draft)
    return {kind: path for kind, path in written.items() if kind != _LEFT_OUT}


def _plain_rows(table: Sequence[Row]) -> Rows:
    """The rows as tuples, times in ISO 8601."""
    return [tuple(_plain(row[name]) for name in _NAMES) for row in table]


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def _write_parquet(rows: Rows, path: Path) -> None:
    # Imported here: its library takes 40 MB, which a run shall not have beside the pictures that it decodes.
    from duomi_pipeline.manifest.parquet import write_parquet  # noqa: PLC0415

    write_parquet(_NAMES, rows, path)


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
