"""The results of a run, one per prompt, in the guide's structure, and the file that keeps them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from duomi_pipeline.common.files import time_stamp
from duomi_pipeline.engine.outcome import Outcome
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.session import Session
from duomi_pipeline.engine.states import State, decide
from duomi_pipeline.images import ImageStore, StoreError
from duomi_pipeline.reporting.receipt import Receipt

RESULTS_PREFIX = "duomi_generation_results"


def states_after(
    session: Session, entries: Mapping[str, PlannedPrompt], outcomes: Sequence[Outcome]
) -> dict[str, State]:
    """The state of each prompt with an outcome, as the next plan will show it.

    Args:
        session: the session of the run.
        entries: the prompts in the plan, by id.
        outcomes: their outcomes.
    """
    wanted = {prompt_id: (entry.stands_in_for or entry.request).key for prompt_id, entry in entries.items()}
    states = {
        outcome.prompt.id: State.CURRENT if outcome.request.key == wanted[outcome.prompt.id] else State.OUTDATED
        for outcome in outcomes
    }
    failed = [outcome for outcome in outcomes if outcome.failure is not None]
    if failed:
        purchases, listing = session.ledger.latest_purchases(), session.store.listing()
        for outcome in failed:
            key, selection = wanted[outcome.prompt.id], entries[outcome.prompt.id].selection
            states[outcome.prompt.id] = decide(outcome.prompt, key, selection, purchases.get(key), listing)
    return states


def result_of(outcome: Outcome, state: State, at: float, store: ImageStore) -> dict[str, Any]:
    """One prompt's result: `success, data, prompt, timestamp, source`, `saved_path` or `error`, and a few more.

    Args:
        outcome: outcome of the prompt.
        state: state of the prompt after the run.
        at: time of the outcome, in seconds since 1970.
        store: the folder of pictures, for their paths.
    """
    paths = [store.location(file.file) for file in outcome.files]
    result: dict[str, Any] = {
        "success": outcome.failure is None,
        "data": _data(outcome, paths) if outcome.failure is None else None,
        "prompt": outcome.prompt.text,
        "timestamp": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
        "source": outcome.prompt.source,
    }
    result |= {"saved_path": paths[0]} if outcome.failure is None else {"error": str(outcome.failure)}
    return {**result, "prompt_id": outcome.prompt.id, "state": state.value}


def write_results(folder: Path, receipt: Receipt, results: Sequence[Mapping[str, Any]], now: datetime) -> Path:
    """Write the results file of a run, with its receipt; as `write_new_results`."""
    return write_new_results(folder, {"receipt": receipt.as_json(), "results": list(results)}, now)


def as_json_bytes(content: Mapping[str, Any]) -> bytes:
    """A results file's content; a lone surrogate of a prompt becomes what JSON writes for it."""
    return json.dumps(content, ensure_ascii=False, indent=1, default=str).encode("utf-8", "backslashreplace")


def write_new_results(folder: Path, content: Mapping[str, Any], now: datetime) -> Path:
    """Write `duomi_generation_results_{timestamp}.json`, whole or not at all; an earlier one is never replaced.

    Raises:
        StoreError: it cannot be written.
    """
    data = as_json_bytes(content)
    files = ImageStore(folder)  # used because it writes any file whole or not at all
    files.sweep()
    while True:
        name = f"{RESULTS_PREFIX}_{time_stamp(now)}.json"
        try:
            files.save(name, data)
            return folder / name
        except StoreError:
            if not (folder / name).exists():
                raise
            now += timedelta(milliseconds=1)


def _data(outcome: Outcome, paths: Sequence[str]) -> dict[str, Any]:
    """The data of the service, without its picture addresses, which expire within the hour."""
    first = outcome.files[0]
    return {
        "images": [{"path": path} for path in paths],
        "model": outcome.request.model,
        "seed": outcome.seed,
        "size": first.size,
        "received_size": first.received_size,
        "how": outcome.status.value,
        "attempts": outcome.attempts,
        "seconds": round(outcome.latency, 3),
        "cost": outcome.cost,
    }
