"""What commands share: the look at the sources, and how states, money and problems are written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from duomi_pipeline.common.text import counted, safe
from duomi_pipeline.engine import Plan, State
from duomi_pipeline.ledger import Money
from duomi_pipeline.prompts import Problem
from duomi_pipeline.reporting.receipt import amount, spent

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

STATE_WORDS: Mapping[State, str] = {
    State.MISSING: "no picture yet",
    State.CHANGED: "the prompt was edited after its picture was made",
    State.OUTDATED: "made with other settings; `duomi generate --outdated` makes them anew",
    State.CURRENT: "the picture is there",
    State.FAILED_FOR_GOOD: "refused, or paid without an answer; edit it, or `duomi generate --failed`",
    State.FAILED_FOR_NOW: "tried without success; `duomi generate --failed` tries again",
    State.UNKNOWN: "nobody can tell whether the picture is there; nothing is bought until the folder can be read",
}
_MAX_PROBLEMS = 50


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on stdout; what a terminal would obey is written as JSON can, in escapes."""
    click.echo(safe(json.dumps(content, ensure_ascii=False, indent=2)))


def warn_of(problems: Sequence[Problem]) -> None:
    """Name rows and files that give no prompt, on stderr."""
    for problem in problems[:_MAX_PROBLEMS]:
        click.echo(f"Left out: {problem}", err=True)
    if len(problems) > _MAX_PROBLEMS:
        click.echo(f"… and {len(problems) - _MAX_PROBLEMS} more left out: `duomi plan --json` names all", err=True)


def tell_plan(found: Plan, base: str) -> None:
    """Say what a plan found out about the folder of pictures, on stderr."""
    if found.adopted:
        were = "was" if found.adopted == 1 else "were"
        what = counted(found.adopted, "picture")
        click.echo(
            f"{what} in {base} {were} not known to the ledger, and {were} recorded; none is bought again", err=True
        )
    if found.stop:
        click.echo(f"Stopped: {found.stop.message}\nNext: {found.stop.advice}", err=True)


def problems_json(problems: Sequence[Problem]) -> list[dict[str, str]]:
    """Rows and files that give no prompt, for `--json`."""
    return [asdict(problem) for problem in problems]


def money_lines(money: Money, currency: str) -> list[str]:
    """What was billed, and what may have been billed twice."""
    currency = money.currency or currency
    lines = [f"{counted(money.billed, 'picture')} billed, {spent(money, currency)}"]
    if money.reused:
        lines.append(f"saved by reuse: {counted(money.reused, 'picture')} that an identical request had paid")
    if money.reserved:
        lines.append(f"on the wire: {counted(money.reserved, 'picture')}, their price is reserved")
    if money.maybe_billed:
        most = "unknown" if len(money.amounts) > 1 else amount(money.maybe_spent, currency)
        lines.append(f"may have been billed twice: {money.maybe_billed} (at most {most})")
    return lines


def moment(seconds: float | None) -> str:
    """A time for people, in UTC."""
    return "–" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def today() -> float:
    """When this day of UTC began, in seconds since 1970: the day that caps mean."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
