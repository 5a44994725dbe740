"""The results manifest: one row per prompt, whatever its state, as Parquet, CSV and JSON. No Dagster."""

import json
import os
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from duomi_pipeline.engine import Plan, PlannedPrompt, Session, State
from duomi_pipeline.ledger import Purchase, Selection

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
    """One row per prompt of a plan; where a prompt has pictures, the row tells of those, also if they are outdated."""
    made_by = session.ledger.purchases({e.selection.purchase_id for e in plan.entries if e.selection is not None})
    rows = [_row(session, entry, made_by) for entry in plan.entries]
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


def _row(session: Session, entry: PlannedPrompt, made_by: Mapping[int, Purchase]) -> dict[str, Any]:
    prompt, selection, failure = entry.prompt, entry.selection, entry.purchase
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
    if selection is not None and selection.files and entry.state is not State.MISSING:
        row |= _picture(session, selection, made_by[selection.purchase_id])
    return row


def _picture(session: Session, selection: Selection, purchase: Purchase) -> dict[str, Any]:
    first, request = selection.files[0], json.loads(purchase.request)
    return {
        "saved_path": session.store.location(first.file),
        "files": len(selection.files),
        "bytes": sum(file.bytes for file in selection.files),
        "size": first.size,
        "received_size": first.received_size,
        "timestamp": datetime.fromtimestamp(first.saved_at, UTC).isoformat(timespec="milliseconds"),
        "model": request["body"]["model"],
        "seed": purchase.seed if purchase.seed is not None else request["body"].get("seed"),
        "host_kind": request["host_kind"],
        "request_key": selection.request_key,
        "prompt_version": selection.prompt_version,
    }
