"""The results manifest: one row per prompt, whatever its state, as Parquet, CSV and JSON. No Dagster."""

import json
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from duomi_pipeline.engine import Plan, PlannedPrompt, Session, State

# Column types; times are ISO 8601 in UTC, sizes `WIDTHxHEIGHT`, `bytes` of all files of a prompt together.
COLUMNS = {
    "prompt_id": "string",
    "source": "string",
    "origin": "string",
    "image_id": "Int64",
    "state": "string",
    "success": "bool",
    "prompt": "string",
    "saved_path": "string",
    "files": "Int64",
    "bytes": "Int64",
    "size": "string",
    "received_size": "string",
    "model": "string",
    "seed": "Int64",
    "host_kind": "string",
    "timestamp": "string",
    "error_class": "string",
    "error": "string",
    "request_key": "string",
    "prompt_version": "string",
}


def manifest(session: Session, plan: Plan) -> pd.DataFrame:
    """One row per prompt of a plan; where a prompt has pictures, the row tells of those."""
    rows = [_row(session, entry) for entry in plan.entries]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def write_manifest(table: pd.DataFrame, folder: Path) -> dict[str, Path]:
    """Write `results.parquet`, `results.csv` and `results.json`, each whole or not at all. Returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    records = json.loads(table.to_json(orient="records"))
    writers: dict[str, Callable[[Path], Any]] = {
        "parquet": lambda path: table.to_parquet(path, index=False),
        "csv": lambda path: table.to_csv(path, index=False),
        "json": lambda path: path.write_text(json.dumps(records, ensure_ascii=False, indent=1), encoding="utf-8"),
    }
    written = {}
    for kind, write in writers.items():
        final = folder / f"results.{kind}"
        draft = folder / f".results-{secrets.token_hex(4)}.{kind}"
        write(draft)
        os.replace(draft, final)  # noqa: PTH105
        written[kind] = final
    return written


def _row(session: Session, entry: PlannedPrompt) -> dict[str, Any]:
    prompt, selection, failure = entry.prompt, entry.selection, entry.purchase
    has_picture = selection is not None and bool(selection.files) and entry.state is not State.MISSING
    row: dict[str, Any] = {
        "prompt_id": prompt.id,
        "source": prompt.source,
        "origin": prompt.origin,
        "image_id": prompt.image_id,
        "state": entry.state.value,
        "success": entry.state is State.CURRENT,
        "prompt": prompt.text,
        "model": entry.request.model,
        "seed": entry.request.seed,
        "host_kind": entry.request.host_kind,
        "request_key": entry.request.key,
        "prompt_version": prompt.version,
        "error_class": failure.error_class if failure else None,
        "error": failure.error_message if failure and failure.error_class else None,
    }
    if selection is not None and has_picture:
        first = selection.files[0]
        row |= {
            "saved_path": session.store.location(first.file),
            "files": len(selection.files),
            "bytes": sum(file.bytes for file in selection.files),
            "size": first.size,
            "received_size": first.received_size,
            "timestamp": datetime.fromtimestamp(first.saved_at, UTC).isoformat(timespec="milliseconds"),
        }
    return row
