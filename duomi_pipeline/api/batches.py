"""A run in the caller's own thread, for scripts and probes: prompts in, the guide's results out. No Dagster.

A script asks for each picture by name, so outdated ones are made anew. What was, or may have been, billed without a
picture is left: only the user (`duomi generate --failed`) may pay for it once more.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from upath import UPath

from duomi_pipeline.engine.outcome import Outcome, Status
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.session import Session
from duomi_pipeline.engine.states import State
from duomi_pipeline.images import ImageStore, StoreError
from duomi_pipeline.ledger.schema import NOT_BILLED
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.prompts.prompt import SourceKind
from duomi_pipeline.reporting.results import result_of
from duomi_pipeline.reporting.run_log import RunLog, run_batch
from duomi_pipeline.settings import ParameterOverrides, Settings


@dataclass(frozen=True)
class Choice:
    """What a run does with its prompts.

    Attributes:
        current: have the picture that is asked for.
        wanted: to be brought to pictures.
        left: failed at a cost, and not to be paid again unasked.
    """

    current: tuple[PlannedPrompt, ...]
    wanted: tuple[PlannedPrompt, ...]
    left: tuple[PlannedPrompt, ...]


def choose(session: Session, entries: Sequence[PlannedPrompt]) -> Choice:
    """Sort prompts by what a run is to do with them."""
    for_good = [entry.purchase.id for entry in entries if entry.state is State.FAILED_FOR_GOOD and entry.purchase]
    posts = session.ledger.posts_of(for_good) if for_good else {}
    paid = {purchase for purchase, sent in posts.items() if any(post.billing != NOT_BILLED for post in sent)}
    current = tuple(entry for entry in entries if entry.state is State.CURRENT and not entry.resumes)
    left = tuple(
        entry
        for entry in entries
        if entry.state is State.FAILED_FOR_GOOD and entry.purchase and entry.purchase.id in paid
    )
    others = {entry.prompt.id for entry in (*current, *left)}
    return Choice(current, tuple(entry for entry in entries if entry.prompt.id not in others), left)


def run_prompts(
    session: Session, prompts: Sequence[Prompt], parameters: ParameterOverrides, left_out: int
) -> list[dict[str, Any]]:
    """One result per prompt, in their order; a picture that is there costs nothing.

    Args:
        parameters: of this run, over the settings; a prompt's own win over both.
        left_out: rows and files that give no prompt, for the receipt.
    """
    choice = choose(session, session.plan(prompts, parameters).entries)
    found = {entry.prompt.id: _kept(session, entry) for entry in choice.current}
    found |= {entry.prompt.id: failed_result(entry.prompt, _why_left(entry)) for entry in choice.left}
    if choice.wanted:
        log = RunLog(session, choice.wanted, left_out=left_out)
        with log.written():
            stop = run_batch(session, choice.wanted, parameters, log)
        states, now = log.states(), time.time()
        found |= {o.prompt.id: result_of(o, states[o.prompt.id], now, session.store) for o in log.outcomes}
        why = f"Not reached: {stop.message}" if stop else "Not reached"
        found |= {e.prompt.id: failed_result(e.prompt, why) for e in choice.wanted if e.prompt.id not in found}
    return [found[prompt.id] for prompt in prompts]


def failed_result(prompt: Prompt, error: str) -> dict[str, Any]:
    """The result of a prompt for which nothing was sent."""
    return {**not_a_prompt(prompt.text, prompt.source, error), "prompt_id": prompt.id}


def not_a_prompt(text: str, source: SourceKind, error: str) -> dict[str, Any]:
    """The result of a text that cannot even be a prompt."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"success": False, "data": None, "prompt": text, "timestamp": now, "source": source, "error": error}


def write_results_log(settings: Settings, results: Sequence[Mapping[str, Any]], output_file: Path | str | None) -> Path:
    """Write results put together by a script: to a file of its choice, or beside those of the runs.

    Raises:
        StoreError, OSError: it cannot be written; then nothing is, and a former file stays.
    """
    text = json.dumps({"results": list(results)}, ensure_ascii=False, indent=1, default=str)
    data = text.encode("utf-8", "backslashreplace")  # a lone surrogate becomes what JSON writes for it
    if output_file is None:
        return _write_new(settings.path(settings.log_dir), data)
    path = settings.path(output_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        draft.write_bytes(data)
        return draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _write_new(folder: Path, data: bytes) -> Path:
    now = datetime.now(UTC)
    while True:
        path = folder / f"duomi_generation_results_{now:%Y%m%d_%H%M%S}_{now.microsecond // 1000:03d}.json"
        try:
            ImageStore(UPath(folder)).save(path.name, data)
        except StoreError:
            if not path.exists():
                raise
            now += timedelta(milliseconds=1)
        else:
            return path


def _kept(session: Session, entry: PlannedPrompt) -> dict[str, Any]:
    files = entry.selection.files if entry.selection else ()
    there = Outcome(entry.prompt, entry.request, Status.REUSED, files, entry.selection, entry.request.seed)
    return result_of(there, State.CURRENT, time.time(), session.store)


def _why_left(entry: PlannedPrompt) -> str:
    said = entry.purchase.error_message if entry.purchase else ""
    again = f"`duomi generate --failed --prompt-id {entry.prompt.id}` asks once more, which may cost money again"
    return f"Not sent again: it failed when it was, or may have been, billed ({said}); {again}"
