"""The receipt of a run: what was generated, what failed and why, what it cost, what to do next.

Writing it to files is in `run_log`; its form on a terminal is in `cli.report`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import TypeAdapter

from duomi_pipeline.common.text import one_line
from duomi_pipeline.duomi import ErrorClass
from duomi_pipeline.duomi.policy import policy_of
from duomi_pipeline.engine.outcome import Failure, Outcome, StoppedBy
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.states import State
from duomi_pipeline.ledger import Money
from duomi_pipeline.settings import SANDBOX

MAX_REASON = 400  # characters of one reason in a text
_NAMED = 20  # failures in a text; the results file has all
_AFTER_STOP: Mapping[StoppedBy, str] = {
    StoppedBy.SERVICE: "Fix what the service names, then start again; nothing that was paid is bought twice.",
    StoppedBy.CAP: "Start again once the cap allows more, or raise it.",
    StoppedBy.STORE: ErrorClass.STORE.policy.advice,
    StoppedBy.LOST: "Put back what was moved or deleted, then start again; paid answers in flight were kept.",
    StoppedBy.ERROR: "Start again: nothing that was paid is bought twice. "
    "If it happens again, it is a defect: report it.",
}


@dataclass(frozen=True)
class FailedPrompt:
    """A prompt without a new picture, and why; the fields are those of `outcome.Failure`.

    Two classes do not come from the service: `left` (not tried by this run) and `absent` (no prompt for a partition).
    """

    prompt_id: str
    error_class: str
    code: str
    message: str

    @classmethod
    def of(cls, prompt_id: str, failure: Failure) -> Self:
        """The record of a prompt's failure."""
        return cls(prompt_id, failure.error_class.value, failure.code, failure.message)

    def __str__(self) -> str:
        code = f" {self.code}" if self.code else ""
        return f"{self.prompt_id}: {one_line(self.message, MAX_REASON)} ({one_line(self.error_class + code)})"


@dataclass(frozen=True)
class Receipt:
    """What one run did.

    Attributes:
        trigger: what started it: `ui`, `cli`, `sensor`, `schedule`, `python`.
        service: `sandbox`, `local` or `service`.
        started_at, ended_at: in seconds since 1970.
        failed: how many prompts failed, by error class.
        failures: the failed prompts; only the first of them after `shortened`.
        not_reached: prompts that were not tried because the run was stopped.
        stopped_by, message, advice: as in `outcome.Stop`; empty if the run was not stopped.
        spent: in `currency`, `None` where no price is known.
        maybe_billed, maybe_spent: pictures of requests whose answer was lost, and their price.
        left_out: rows and files that give no prompt.
    """

    run_id: str
    trigger: str
    service: str
    started_at: float
    ended_at: float
    generated: int
    reused: int
    failed: Mapping[str, int]
    failures: tuple[FailedPrompt, ...]
    not_reached: int
    stopped_by: StoppedBy | None
    message: str | None
    spent: float | None
    maybe_billed: int
    maybe_spent: float | None
    currency: str
    left_out: int = 0
    advice: str = ""

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """Read what `as_json` wrote.

        Raises:
            pydantic.ValidationError: the content is no receipt.
        """
        return TypeAdapter(cls).validate_python(content)

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return max(0.0, self.ended_at - self.started_at)

    @property
    def pictures_per_second(self) -> float:
        """Generated pictures divided by the time of the run."""
        return self.generated / self.seconds if self.seconds else 0.0

    @property
    def next_steps(self) -> list[str]:
        """What the user should do next, one text each; empty if nothing."""
        steps = [self.advice or _AFTER_STOP.get(self.stopped_by, "")] if self.stopped_by else []
        steps += [row.advice.format(id=self._example(name)) for name in sorted(self.failed) if (row := policy_of(name))]
        if self.left_out:
            steps.append(f"Rows or files without a prompt: {self.left_out:,}. `duomi doctor` names them.")
        return [step for step in dict.fromkeys(steps) if step]

    def shortened(self, named: int = _NAMED) -> Self:
        """The receipt with at most so many entries in `failures`; the counts stay."""
        return replace(self, failures=self.failures[:named])

    def as_json(self) -> dict[str, Any]:
        """The receipt as JSON values."""
        worked_out = {
            "seconds": round(self.seconds, 3),
            "pictures_per_second": round(self.pictures_per_second, 3),
            "next": self.next_steps,
            "door": self.trigger,  # former name of `trigger`, which scripts may read
        }
        return {**TypeAdapter(Receipt).dump_python(self, mode="json"), **worked_out}

    def as_text(self) -> str:
        """The receipt as lines of text."""
        counts = {
            "generated": self.generated,
            "reused": self.reused,
            "failed": sum(self.failed.values()),
            "not reached": self.not_reached,
        }
        summary = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing to do"
        return "\n".join([f"{summary} {self.pace}", *self.details()])

    @property
    def pace(self) -> str:
        """Duration and speed as text."""
        rate = f" ({self.pictures_per_second:.2g} pictures/s)" if self.generated else ""
        return f"in {self.seconds:.1f} s{rate}"

    def details(self) -> list[str]:
        """The lines after the counts: cost, stop, failures, what to do next."""
        lines = self.money_lines()
        if self.message:
            lines.append(f"Stopped: {one_line(self.message, MAX_REASON)}")
        if self.failed:
            lines.append("Failed: " + ", ".join(f"{count:,} {name}" for name, count in sorted(self.failed.items())))
            lines += named(self.failures, sum(self.failed.values()))
        return [*lines, *(f"Next: {step}" for step in self.next_steps)]

    def money_lines(self) -> list[str]:
        """Lines about the cost; none for the sandbox, which is free."""
        if self.service == SANDBOX:
            return []
        lines = [f"Cost: {amount(self.spent, self.currency)}"]
        if self.maybe_billed:
            most = amount(self.maybe_spent, self.currency)
            lines.append(f"May have been billed twice: {self.maybe_billed:,} (at most {most})")
        return lines

    def _example(self, error_class: str) -> str:
        return next((f.prompt_id for f in self.failures if f.error_class == error_class), "ID")


def named(failures: Sequence[FailedPrompt], count: int) -> list[str]:
    """Lines with the first failures.

    Args:
        failures: the known failures.
        count: how many there are in total.
    """
    lines = [f"  failed: {failure}" for failure in failures[:_NAMED]]
    more = count - len(lines)
    return [*lines, f"  … and {more:,} more: duomi status --json"] if more > 0 else lines


def failed_prompts(outcomes: Sequence[Outcome]) -> list[FailedPrompt]:
    """The failures among some outcomes."""
    return [FailedPrompt.of(o.prompt.id, o.failure) for o in outcomes if o.failure]


def left_prompts(entries: Iterable[PlannedPrompt]) -> list[FailedPrompt]:
    """Failures of class `left`: prompts without a current picture that a run does not try, and why."""
    return [FailedPrompt(entry.prompt.id, _class_of_left(entry).value, "", _why_left(entry)) for entry in entries]


def _class_of_left(entry: PlannedPrompt) -> ErrorClass:
    return ErrorClass.IN_DOUBT if entry.state is State.UNKNOWN else ErrorClass.LEFT


def _why_left(entry: PlannedPrompt) -> str:
    words = entry.doubt or (entry.purchase.error_message if entry.purchase else None)
    return f"left as it is, {entry.state.value}{f': {words}' if words else ''}"


def by_class(failures: Sequence[FailedPrompt]) -> dict[str, int]:
    """How many there are of each error class."""
    return dict(Counter(failure.error_class for failure in failures))


def spent(money: Money, currency: str) -> str:
    """The spend as text; amounts in several currencies are listed."""
    if len(money.amounts) > 1:
        return " and ".join(amount(price, name) for name, price in sorted(money.amounts.items()))
    return amount(money.spent, money.currency or currency)


def amount(price: float | None, currency: str) -> str:
    """An amount as text; an unknown price is shown as unknown, never as 0, nor is one of less than a hundredth."""
    if price is None:
        return "unknown (set DUOMI_PRICE_PER_IMAGE)"
    return f"{price:.2g} {currency}" if 0 < price < 0.01 else f"{price:.2f} {currency}"
