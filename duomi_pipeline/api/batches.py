"""A run in the caller's own thread: prompts in, results in the guide's structure out. No Dagster.

A script names each prompt, so outdated pictures are generated again. A request that was or may have been billed without
a picture is not sent again: only the user may do that (`duomi generate --failed`).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from duomi_pipeline.common.files import write_whole
from duomi_pipeline.engine.outcome import Outcome, Status
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.session import Session
from duomi_pipeline.engine.states import State
from duomi_pipeline.ledger import Billing
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.prompts.prompt import SourceKind
from duomi_pipeline.reporting.results import as_json_bytes, result_of, write_new_results
from duomi_pipeline.reporting.run_log import RunLog, run_batch
from duomi_pipeline.settings import ParameterOverrides, Settings


@dataclass(frozen=True)
class Choice:
    """What a run does with its prompts.

    Attributes:
        current: have a current picture.
        wanted: are generated.
        left: failed and may have been billed; not tried again.
    """

    current: tuple[PlannedPrompt, ...]
    wanted: tuple[PlannedPrompt, ...]
    left: tuple[PlannedPrompt, ...]


def choose(session: Session, entries: Sequence[PlannedPrompt]) -> Choice:
    """Group prompts by what a run does with them."""
    for_good = [entry.purchase.id for entry in entries if entry.state is State.FAILED_FOR_GOOD and entry.purchase]
    posts = session.ledger.posts_of(for_good) if for_good else {}
    paid = {purchase for purchase, sent in posts.items() if any(post.billing != Billing.FREE for post in sent)}
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
    """One result per prompt, in their order; existing pictures cost nothing.

    Args:
        parameters: of this run; they override the settings, and a prompt's own override both.
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
    """The result of a text that is not a valid prompt."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"success": False, "data": None, "prompt": text, "timestamp": now, "source": source, "error": error}


def write_results_log(settings: Settings, results: Sequence[Mapping[str, Any]], output_file: Path | str | None) -> Path:
    """Write results that a script has collected: to a given file, or to a new one in `DUOMI_LOG_DIR`.

    Raises:
        StoreError, OSError: it cannot be written; then nothing is, and a former file stays.
    """
    content = {"results": list(results)}
    if output_file is None:
        return write_new_results(settings.path(settings.log_dir), content, datetime.now(UTC))
    path = settings.path(output_file)
    write_whole(path, as_json_bytes(content))
    return path


def _kept(session: Session, entry: PlannedPrompt) -> dict[str, Any]:
    files = entry.selection.files if entry.selection else ()
    there = Outcome(entry.prompt, entry.request, Status.REUSED, files, entry.selection, entry.request.seed)
    return result_of(there, State.CURRENT, time.time(), session.store)


def _why_left(entry: PlannedPrompt) -> str:
    reason = entry.purchase.error_message if entry.purchase else ""
    again = f"`duomi generate --failed --prompt-id {entry.prompt.id}` sends it again, which may cost money again"
    return f"Not sent again: it failed, and was or may have been billed ({reason}); {again}"
