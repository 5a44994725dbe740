"""The result of a `duomi generate`: counts, exit code, text and JSON. The receipt itself is in `reporting`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from duomi_pipeline.common.places import Place, place_of, shown
from duomi_pipeline.common.text import counted
from duomi_pipeline.duomi import ErrorClass, ImageRequest
from duomi_pipeline.engine import NOT_THERE, Outcome, Plan, PlannedPrompt, State, StoppedBy
from duomi_pipeline.engine.plan import total_cost
from duomi_pipeline.ledger import PictureFile
from duomi_pipeline.reporting.receipt import Receipt, amount, left_prompts, named
from duomi_pipeline.reporting.run_log import RunLog
from duomi_pipeline.settings import Settings

EXIT_FAILED = 1
EXIT_CODES: Mapping[StoppedBy, int] = {
    StoppedBy.SERVICE: 3,
    StoppedBy.CAP: 4,
    StoppedBy.INTERRUPTED: 130,
    StoppedBy.STORE: EXIT_FAILED,
    StoppedBy.LOST: 3,
    StoppedBy.ERROR: EXIT_FAILED,
}


@dataclass(frozen=True)
class Report:
    """The result of one command: its receipt, and the result of every selected prompt.

    Attributes:
        plan: all selected prompts, as they were before the run.
        wanted: ids of the prompts to generate.
        outcomes: of all prompts that the run reached, by prompt id.
        states: of the same prompts after the run.
        receipt: of the run, `None` if there was nothing to do.
        results_file: the file with the run's results.
    """

    settings: Settings
    plan: Plan
    wanted: frozenset[str]
    outcomes: Mapping[str, Outcome]
    states: Mapping[str, State]
    receipt: Receipt | None
    results_file: Path | None

    @classmethod
    def of(cls, settings: Settings, plan: Plan, wanted: Sequence[PlannedPrompt], log: RunLog | None = None) -> Self:
        """The report of a finished run, or of no run at all."""
        return cls(
            settings,
            plan,
            frozenset(entry.prompt.id for entry in wanted),
            {outcome.prompt.id: outcome for outcome in log.outcomes} if log else {},
            log.states() if log else {},
            log.receipt() if log else None,
            log.results_file if log else None,
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many prompts were generated, reused, …."""
        found = Counter(self._fate(entry) for entry in self.plan.entries)
        found["reused"] += len(self.plan.settled)
        return {name: found[name] for name in ("generated", "reused", "failed", "skipped", "remaining")}

    @property
    def exit_code(self) -> int:
        """The exit code that `duomi generate --help` lists: by who stopped the run, else by whether a prompt failed."""
        if self.receipt is not None and self.receipt.stopped_by is not None:
            return EXIT_CODES[self.receipt.stopped_by]
        if self.receipt is None and self.plan.stop is not None:
            return EXIT_CODES[self.plan.stop.by]
        return EXIT_FAILED if self.counts["failed"] or self.counts["remaining"] else 0

    def as_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        stop = self.plan.stop
        stopped_by, message = (stop.by, stop.message) if stop else (None, None)
        if self.receipt is not None:
            stopped_by, message = self.receipt.stopped_by, self.receipt.message
        return {
            "counts": self.counts,
            "spend": self.receipt.spent if self.receipt else 0.0,
            "maybe_billed_twice": self.receipt.maybe_billed if self.receipt else 0,
            "currency": self.settings.currency,
            "stopped_by": stopped_by,
            "message": message,
            "receipt": self.receipt.as_json() if self.receipt else None,
            "results_file": str(self.results_file) if self.results_file else None,
            "results": [self._result(entry) for entry in self.plan.entries],
        }

    def as_text(self) -> str:
        """A few lines: what was made, what it cost, what to do next, where the files are."""
        counts = ", ".join(f"{count:,} {name}" for name, count in self.counts.items() if count) or "Nothing to do."
        lines = [counts]
        if self.receipt is not None:
            lines = [f"{counts} {self.receipt.pace}", *self.receipt.details()]
        elif left := left_prompts(self.plan.left_without_picture(())):
            classes = [kind for kind in ErrorClass if any(one.error_class == kind for one in left)]
            lines += [*named(left, len(left)), *(f"Next: {kind.policy.advice}" for kind in classes)]
        if outdated := [entry for entry in self.plan.entries if self._is_left_outdated(entry)]:
            requests = {entry.request.key: entry.request for entry in outdated}
            cost = "" if self.settings.uses_sandbox else f", cost: {self._cost(requests.values())}"
            what = "was" if len(outdated) == 1 else "were"
            lines.append(
                f"{counted(len(outdated), 'picture')} {what} made with other settings or by the sandbox, and left as "
                f"they are: add --outdated to make them again ({counted(len(requests), 'request')}{cost})"
            )
        lines += self._pictures()
        lines.append(f"Manifest: {shown(self._place(self.settings.manifest_dir) / 'results.csv')}")
        if self.results_file is not None:
            lines.append(f"Results: {self.results_file}")
        return "\n".join(lines)

    def _is_left_outdated(self, entry: PlannedPrompt) -> bool:
        return entry.state is State.OUTDATED and self._fate(entry) == "skipped"

    def _cost(self, requests: Iterable[ImageRequest]) -> str:
        return amount(total_cost(requests), self.settings.currency)

    def _fate(self, entry: PlannedPrompt) -> str:
        outcome = self.outcomes.get(entry.prompt.id)
        if outcome is not None:
            return outcome.status.value
        if entry.prompt.id in self.wanted:
            return "remaining"
        if entry.state in NOT_THERE:
            return "failed"
        return "reused" if entry.state is State.CURRENT else "skipped"

    def _result(self, entry: PlannedPrompt) -> dict[str, Any]:
        outcome, fate = self.outcomes.get(entry.prompt.id), self._fate(entry)
        state = self.states.get(entry.prompt.id, entry.state)
        failed_before = entry.purchase.error_message if fate == "failed" and entry.purchase else None
        files = self._files(entry)
        return {
            "prompt_id": entry.prompt.id,
            "state": state.value,
            "success": state is State.CURRENT and fate != "failed",
            "what": fate,
            "saved_path": shown(self._place(self.settings.image_dir) / files[0].file) if files else None,
            "error": str(outcome.failure) if outcome and outcome.failure else failed_before,
            "source": entry.prompt.source,
            "prompt": entry.prompt.text,
            "seed": outcome.seed if outcome else entry.request.seed,
            "attempts": outcome.attempts if outcome else 0,
        }

    def _pictures(self) -> list[str]:
        """Where the pictures are: of a single prompt the files, else the folder."""
        folder = self._place(self.settings.image_dir)
        if len(self.plan.entries) == 1 and (files := self._files(self.plan.entries[0])):
            return [f"Picture: {shown(folder / file.file)}" for file in files]
        return [f"Pictures: {shown(folder)}"]

    def _files(self, entry: PlannedPrompt) -> tuple[PictureFile, ...]:
        outcome = self.outcomes.get(entry.prompt.id)
        return outcome.files if outcome else (entry.selection.files if entry.selection else ())

    def _place(self, setting: str) -> Place:
        return place_of(setting, self.settings.home)
