"""Shared by commands: how states, money, times and problems are printed. The receipt of a run is in `reporting`."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from duomi_pipeline.common.text import counted, safe
from duomi_pipeline.engine import Plan, PlannedPrompt, State
from duomi_pipeline.ledger import Money
from duomi_pipeline.prompts import Problem
from duomi_pipeline.reporting.doubts import named_doubts
from duomi_pipeline.reporting.estimate import Estimate
from duomi_pipeline.reporting.receipt import amount, spent
from duomi_pipeline.settings import Settings

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

STATE_WORDS: Mapping[State, str] = {
    State.MISSING: "no picture yet, or its file is gone or cut short",
    State.CHANGED: "the prompt was edited after its picture was made",
    State.OUTDATED: "made with other settings; `duomi generate --outdated` makes them again",
    State.CURRENT: "the picture exists",
    State.FAILED_FOR_GOOD: "refused, or paid without a picture; edit the prompt, or `duomi generate --failed`",
    State.FAILED_FOR_NOW: "failed for a temporary reason; `duomi generate --failed` tries again",
    State.UNKNOWN: "the picture cannot be read now; nothing is bought until the folder can be read",
}
_MAX_PROBLEMS = 50


def say(text: str, indent: int = 2, *, err: bool = False) -> None:
    """Print lines: on a terminal broken between words, elsewhere as they are, for programs that read them.

    Args:
        text: one line or more.
        indent: spaces before what goes on after a break.
        err: to stderr.
    """
    if (sys.stderr if err else sys.stdout).isatty():
        wrap = textwrap.TextWrapper(
            shutil.get_terminal_size().columns,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        text = "\n".join(map(wrap.fill, text.split("\n")))
    click.echo(text, err=err)


def print_states(counts: Mapping[State, int], states: Iterable[State]) -> None:
    """Print how many prompts are in each of these states, and what the state means."""
    for state in states:
        say(f"{counts[state]:>8,}  {state.value:<16} {STATE_WORDS[state]}", indent=27)


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout; what a terminal or its encoding cannot show is written as JSON escapes."""
    is_unicode = sys.stdout.encoding.lower().startswith("utf")
    click.echo(safe(json.dumps(content, ensure_ascii=not is_unicode, indent=2)))


def warn_of(problems: Sequence[Problem]) -> None:
    """Print the rows and files without a usable prompt to stderr."""
    for problem in problems[:_MAX_PROBLEMS]:
        say(f"Left out: {problem}", err=True)
    if len(problems) > _MAX_PROBLEMS:
        say(f"… and {len(problems) - _MAX_PROBLEMS:,} more left out: `duomi plan --json` names all", err=True)


def warn_of_readings(notes: Sequence[Problem]) -> None:
    """Print to stderr which rows and files are not as they should be, and how they were read."""
    for note in notes[:_MAX_PROBLEMS]:
        say(f"Note: {note}", err=True)
    if len(notes) > _MAX_PROBLEMS:
        say(f"… and {len(notes) - _MAX_PROBLEMS:,} more notes: `duomi lint --json` has all", err=True)


def warn_of_texts(wanted: Iterable[PlannedPrompt]) -> None:
    """Print to stderr which prompts may describe no picture, before these are bought."""
    for line in named_doubts(wanted):
        say(line, err=True)


def print_findings(found: Plan, base: str) -> None:
    """Print what a plan found in the folder of pictures to stderr."""
    if found.adopted:
        were = "was" if found.adopted == 1 else "were"
        what = counted(found.adopted, "picture")
        click.echo(
            f"{what} in {base} {were} not known to the ledger, and {were} recorded; none is bought again", err=True
        )
    if found.stop:
        say(f"Stopped: {found.stop.message}", err=True)
        say(f"Next: {found.stop.advice}", err=True)


def addressed(estimated: Estimate, settings: Settings) -> str:
    """How many requests would be sent, and where to."""
    return f"{counted(estimated.requests, 'request')} to {settings.shown_service}"


def print_estimate(estimated: Estimate, prompts: int, *, err: bool = False) -> None:
    """Print what requests cost by model, how long they take, and on stderr whether that is more than usual.

    Args:
        prompts: how many are generated; some may need no request.
    """
    if (without := prompts - estimated.requests) > 0:
        need = "needs" if without == 1 else "need"
        say(
            f"  {counted(without, 'prompt')} {need} no request: a picture of the very same request is there, paid "
            "already or made for another prompt",
            indent=4,
            err=err,
        )
    for line in estimated.as_lines():
        say(f"  {line}", indent=4, err=err)
    if estimated.warning:
        say(f"Warning: {estimated.warning}", err=True)


def problems_json(problems: Sequence[Problem]) -> list[dict[str, str]]:
    """Rows and files without a usable prompt, for `--json`."""
    return [asdict(problem) for problem in problems]


def money_lines(money: Money, currency: str) -> list[str]:
    """Lines about what was billed, reused, reserved, and may have been billed twice."""
    currency = money.currency or currency
    lines = [f"{counted(money.billed, 'picture')} billed, {spent(money, currency)}"]
    if money.reused:
        lines.append(f"saved by reuse: {counted(money.reused, 'picture')} that an identical request had paid for")
    if money.reserved:
        lines.append(f"in flight: {counted(money.reserved, 'picture')}; the price is reserved")
    if money.maybe_billed:
        most = "unknown" if len(money.amounts) > 1 else amount(money.maybe_spent, currency)
        lines.append(f"may have been billed twice: {counted(money.maybe_billed, 'picture')} (at most {most})")
    return lines


def moment(seconds: float | None) -> str:
    """A time as text, in UTC."""
    return "–" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def today() -> float:
    """When this day of UTC began, in seconds since 1970: the day of daily caps."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
