"""What a `duomi generate` did: counts, exit code, text and JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from duomi_pipeline.cli.console import amount
from duomi_pipeline.engine import Outcome, Plan, PlannedPrompt, Session, State
from duomi_pipeline.ledger import Money, RunRecord
from duomi_pipeline.settings import Settings

EXIT_FAILED = 1
EXIT_CODES: Mapping[str, int] = {"service": 3, "cap": 4, "interrupted": 130, "store": EXIT_FAILED, "error": EXIT_FAILED}
_MAX_NAMED = 20


@dataclass(frozen=True)
class Report:
    """The result of one command.

    Attributes:
        outcomes: by prompt id, of all prompts that were reached.
        wanted: ids that were to be brought to pictures.
        plan: all selected prompts, as they were before.
        error: an error that nobody foresaw.
    """

    settings: Settings
    plan: Plan
    wanted: frozenset[str]
    outcomes: Mapping[str, Outcome]
    run: RunRecord | None
    money: Money | None
    error: str | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        plan: Plan,
        wanted: Sequence[PlannedPrompt],
        outcomes: Sequence[Outcome],
        run_id: str | None,
        error: str | None = None,
    ) -> Self:
        """The report of a run, with what the ledger knows of it."""
        run, money = None, None
        if run_id is not None:
            with Session(settings) as session:
                run, money = session.ledger.run(run_id), session.ledger.money(run_id=run_id)
        by_id = {outcome.prompt.id: outcome for outcome in outcomes}
        return cls(settings, plan, frozenset(e.prompt.id for e in wanted), by_id, run, money, error)

    @property
    def counts(self) -> dict[str, int]:
        """Prompts by what became of them."""
        found = Counter(self._fate(entry) for entry in self.plan.entries)
        return {name: found[name] for name in ("generated", "reused", "failed", "skipped", "remaining")}

    @property
    def exit_code(self) -> int:
        """See `interface.md`: who stopped the run, else whether a prompt failed."""
        if self.run is not None and self.run.stopped_by is not None:
            return EXIT_CODES[self.run.stopped_by]
        return EXIT_FAILED if self.error or self.counts["failed"] or self.counts["remaining"] else 0

    def as_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        return {
            "counts": self.counts,
            "spend": self.money.spent if self.money else 0.0,
            "maybe_billed_twice": self.money.maybe_billed if self.money else 0,
            "currency": self.settings.currency,
            "stopped_by": self.run.stopped_by if self.run else None,
            "message": self.error or (self.run.message if self.run else None),
            "results": [self._result(entry) for entry in self.plan.entries],
        }

    def as_text(self) -> str:
        """A few lines for people: what was made, what it cost, what to do next."""
        lines = [", ".join(f"{count} {name}" for name, count in self.counts.items() if count) or "Nothing to do."]
        if self.money and not self.settings.uses_sandbox:
            lines.append(f"Cost: {amount(self.money.spent, self.settings.currency)}")
        if self.money and self.money.maybe_billed:
            most = amount(self.money.maybe_spent, self.settings.currency)
            lines.append(f"May have been billed twice: {self.money.maybe_billed} (at most {most})")
        if message := self.error or (self.run.message if self.run else None):
            lines.append(message)
        failed = [outcome for outcome in self.outcomes.values() if outcome.failure]
        lines += [f"  failed: {outcome.prompt.id}: {outcome.failure}" for outcome in failed[:_MAX_NAMED]]
        if len(failed) > _MAX_NAMED:
            lines.append(f"  … and {len(failed) - _MAX_NAMED} more: duomi status --json")
        lines.append(f"Pictures: {self.settings.path(self.settings.image_dir)}")
        lines.append(f"Manifest: {self.settings.path(self.settings.manifest_dir) / 'results.csv'}")
        return "\n".join(lines)

    def _fate(self, entry: PlannedPrompt) -> str:
        outcome = self.outcomes.get(entry.prompt.id)
        if outcome is not None:
            return outcome.status
        if entry.prompt.id in self.wanted:
            return "remaining"
        return "reused" if entry.state is State.CURRENT else "skipped"

    def _result(self, entry: PlannedPrompt) -> dict[str, Any]:
        outcome, fate = self.outcomes.get(entry.prompt.id), self._fate(entry)
        state = entry.state
        if outcome is not None:
            final = outcome.failure is not None and outcome.failure.final
            failed = State.FAILED_FOR_GOOD if final else State.FAILED_FOR_NOW
            state = failed if outcome.failure else State.CURRENT
        files = outcome.files if outcome else (entry.selection.files if entry.selection else ())
        return {
            "prompt_id": entry.prompt.id,
            "state": state.value,
            "success": state is State.CURRENT,
            "what": fate,
            "saved_path": self.settings_path(files[0].file) if files else None,
            "error": str(outcome.failure) if outcome and outcome.failure else None,
            "source": entry.prompt.source,
            "prompt": entry.prompt.text,
            "seed": outcome.seed if outcome else entry.request.seed,
            "attempts": outcome.attempts if outcome else 0,
        }

    def settings_path(self, name: str) -> str:
        """Where a picture lies."""
        base = self.settings.image_dir
        return f"{base}/{name}" if "://" in base else str(self.settings.path(base) / name)
