"""`duomi lint`. The rules are in `prompt_lint`. Prompts are untrusted text: only `text.safe` of them is printed."""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import click

from duomi_pipeline.cli.console import json_option, print_json, problems_json, say, warn_of, warn_of_readings
from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.cli.terminal import word_diff
from duomi_pipeline.common.text import counted, safe
from duomi_pipeline.engine import Plan, PlannedPrompt, Session, State
from duomi_pipeline.engine.plan import make_plan, requests_to_buy, total_cost
from duomi_pipeline.engine.prompt_ids import with_known_ids
from duomi_pipeline.engine.prompt_request import findings_for
from duomi_pipeline.prompt_lint.findings import Finding
from duomi_pipeline.prompts import Prompt, read_sources
from duomi_pipeline.reporting.receipt import amount
from duomi_pipeline.settings import Settings

EXIT_FINDINGS = 1


@dataclass(frozen=True)
class _Comparison:
    """The plans of the same prompts without and with cleaning, and how they differ.

    Attributes:
        as_written, cleaned: plans with `clean_prompts` off and on.
        findings: in what is sent, by prompt id; prompts without any are not in it.
    """

    settings: Settings
    as_written: Plan
    cleaned: Plan
    findings: Mapping[str, Sequence[Finding]]

    @cached_property
    def counts(self) -> Counter[str]:
        """How many prompts have a finding of each kind."""
        return Counter(finding.kind for some in self.findings.values() for finding in some)

    @cached_property
    def changes(self) -> Mapping[str, PlannedPrompt]:
        """The prompts that are sent differently when cleaned, by id."""
        pairs = zip(self.as_written.entries, self.cleaned.entries, strict=True)
        return {after.prompt.id: after for before, after in pairs if before.request.key != after.request.key}

    @cached_property
    def outdated(self) -> Sequence[PlannedPrompt]:
        """Prompts whose picture is current without cleaning and outdated with it."""
        before = self.as_written.by_id
        return [
            entry
            for prompt_id, entry in self.changes.items()
            if entry.state is State.OUTDATED and before[prompt_id].state is State.CURRENT
        ]

    @property
    def requests(self) -> int:
        """How many requests would make the outdated pictures again."""
        return len(requests_to_buy(self.outdated))

    @property
    def cost(self) -> float | None:
        """What these requests would cost, `None` where the price is unknown."""
        return total_cost(requests_to_buy(self.outdated).values())


@click.command()
@click.option("--prompt-id", "prompt_ids", multiple=True, metavar="ID", help="Only this prompt; may be repeated.")
@click.option("--diff", "shows_diff", is_flag=True, help="Show what cleaning removes, word by word.")
@json_option
def lint(prompt_ids: tuple[str, ...], shows_diff: bool, as_json: bool) -> None:
    """Print what the model ignores or misreads in each prompt, as it is sent now. Nothing is sent or changed.

    Cleaning removes text that does not describe the picture; it is off until DUOMI_CLEAN_PROMPTS is true. It changes
    what is sent, never a source. See docs/prompt_care.md for the rules.

    The exit code is 1 where there are findings, else 0.

    \b
    Examples:
      duomi lint
      duomi lint --diff --prompt-id db_12
      duomi lint --json | jq .counts
    """
    settings = Settings.load()
    with announce_if_slow("Reading the prompts"), Session(settings) as session:
        sources = with_known_ids(read_sources(settings), session.ledger, settings)
    prompts = [prompt for prompt in sources.prompts if not prompt_ids or prompt.id in prompt_ids]
    if unknown := sorted(set(prompt_ids) - {prompt.id for prompt in prompts}):
        raise click.UsageError(f"There is no prompt {unknown[0]}: {sources.why_absent(unknown[0])}.")
    with announce_if_slow("Looking at the prompts"):
        compared = _compare(settings, prompts)
    if as_json:
        content = {**_as_json(compared), "left_out": problems_json(sources.problems)}
        content["notes"] = problems_json(sources.notes)
        content |= {"changes": _changes_json(compared)} if shows_diff else {}
        print_json(content)
    else:
        warn_of(sources.problems)
        warn_of_readings(sources.notes)
        _print_prompts(compared, shows_diff)
        for line in _summary(compared):
            say(line)
    if compared.findings:
        sys.exit(EXIT_FINDINGS)


def _compare(settings: Settings, prompts: Sequence[Prompt]) -> _Comparison:
    with Session(settings) as session:
        listing = session.store.listing()
        as_written, cleaned = (
            make_plan(
                prompts,
                settings.model_copy(update={"clean_prompts": clean}),
                settings.parameters,
                session.ledger,
                listing,
            )
            for clean in (False, True)
        )
    sent = cleaned if settings.clean_prompts else as_written
    found = {entry.prompt.id: findings_for(entry.request) for entry in sent.entries}
    findings = {prompt_id: some for prompt_id, some in found.items() if some}
    return _Comparison(settings, as_written, cleaned, findings)


def _print_prompts(compared: _Comparison, shows_diff: bool) -> None:
    for entry in compared.as_written.entries:
        prompt, changed = entry.prompt, compared.changes.get(entry.prompt.id) if shows_diff else None
        found = compared.findings.get(prompt.id, ())
        if not (found or changed):
            continue
        model = f", {entry.request.model}" if entry.request.model != compared.settings.model else ""
        say(safe(f"{prompt.id} ({prompt.origin}{model})"))
        for finding in found:
            say(f"  {finding.kind}: {safe(finding.text)}", indent=4)
        if changed:
            colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
            click.echo(_indented(word_diff(prompt.text, changed.request.prompt, colour=colour)))
            if (negative := _negative(changed)) != _negative(entry):
                click.echo(f"    negative_prompt: {safe(negative)}")
        click.echo()


def _summary(compared: _Comparison) -> Iterator[str]:
    total, found, changed = len(compared.as_written.entries), len(compared.findings), len(compared.changes)
    for kind, count in compared.counts.most_common():
        yield f"{count:>8,}  {kind}"
    prompts = counted(total, "prompt")
    yield f"{found:,} of {prompts} {'has' if found == 1 else 'have'} findings." if found else f"{prompts}, no findings."
    if not changed:
        return
    if compared.settings.clean_prompts:
        yield f"Cleaning is on: {counted(changed, 'prompt')} sent without the words that `duomi lint --diff` marks."
        return
    yield (
        f"Cleaning would change what is sent for {counted(changed, 'prompt')}: `duomi lint --diff` shows how, "
        "DUOMI_CLEAN_PROMPTS=true switches it on."
    )
    if compared.outdated:
        cost = f"{counted(compared.requests, 'request')}: {amount(compared.cost, compared.settings.currency)}"
        pictures = counted(len(compared.outdated), "picture")
        yield f"No source would change; {pictures} would be outdated, and making them again would take {cost}."
    else:
        yield "No source would change, and no picture would be outdated."


def _as_json(compared: _Comparison) -> dict[str, Any]:
    entries = compared.as_written.by_id
    return {
        "healthy": not compared.findings,
        "prompts": len(entries),
        "counts": dict(compared.counts.most_common()),
        "findings": [
            {
                "prompt_id": prompt_id,
                "origin": entries[prompt_id].prompt.origin,
                "model": entries[prompt_id].request.model,
                "kind": finding.kind,
                "text": finding.text,
            }
            for prompt_id, found in compared.findings.items()
            for finding in found
        ],
        "cleaning": {
            "on": compared.settings.clean_prompts,
            "changes": len(compared.changes),
            "outdated": len(compared.outdated),
            "requests": compared.requests,
            "cost": compared.cost,
            "currency": compared.settings.currency,
        },
    }


def _changes_json(compared: _Comparison) -> list[dict[str, Any]]:
    return [
        {
            "prompt_id": prompt_id,
            "text": entry.prompt.text,
            "sent": entry.request.prompt,
            "negative_prompt": _negative(entry),
        }
        for prompt_id, entry in compared.changes.items()
    ]


def _negative(entry: PlannedPrompt) -> str:
    return str(entry.request.body.get("negative_prompt", ""))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.split("\n"))
