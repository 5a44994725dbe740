"""`duomi lint`. Prompts are text of others: they reach the terminal through `text.safe` alone."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import click

from duomi_pipeline.cli.console import json_option, problems_json, warn_of
from duomi_pipeline.cli.terminal import word_diff
from duomi_pipeline.common.text import safe
from duomi_pipeline.engine import Plan, PlannedPrompt, Session, State
from duomi_pipeline.engine.plan import make_plan, requests_to_buy, total_cost
from duomi_pipeline.engine.prompt_request import findings_for
from duomi_pipeline.prompt_lint.findings import Finding
from duomi_pipeline.prompts import Prompt, read_sources
from duomi_pipeline.reporting.receipt import amount
from duomi_pipeline.settings import ParameterOverrides, Settings

EXIT_FINDINGS = 1


@dataclass(frozen=True)
class _Look:
    """The prompts under the settings as they are, and how both ways of sending them would go.

    Attributes:
        as_written, cleaned: plans with `clean_prompts` off and on.
    """

    settings: Settings
    as_written: Plan
    cleaned: Plan

    @cached_property
    def findings(self) -> Mapping[str, Sequence[Finding]]:
        """What is wrong with what is sent, by prompt id; healthy prompts are left out."""
        sent = self.cleaned if self.settings.clean_prompts else self.as_written
        found = {entry.prompt.id: findings_for(entry.request) for entry in sent.entries}
        return {prompt_id: some for prompt_id, some in found.items() if some}

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
        """Those whose picture is current as it was written, and outdated when cleaned."""
        before = self.as_written.by_id
        return [
            entry
            for prompt_id, entry in self.changes.items()
            if entry.state is State.OUTDATED and before[prompt_id].state is State.CURRENT
        ]

    @property
    def requests(self) -> int:
        """How many requests would make these anew."""
        return len(requests_to_buy(self.outdated))

    @property
    def cost(self) -> float | None:
        """What these requests would cost, `None` where the price is unknown."""
        return total_cost(requests_to_buy(self.outdated).values())


@click.command()
@click.option("--prompt-id", "prompt_ids", multiple=True, metavar="ID", help="Only this prompt; may be repeated.")
@click.option("--diff", "shows_diff", is_flag=True, help="Show what cleaning takes out, word by word.")
@json_option
def lint(prompt_ids: tuple[str, ...], shows_diff: bool, as_json: bool) -> None:
    """What the model will ignore or misread in each prompt, as it is sent now. Nothing is sent or changed.

    Cleaning takes out what is not part of the picture; it is off until DUOMI_CLEAN_PROMPTS is true. It changes what
    is sent, never a source. See docs/prompt_care.md for the rules.

    The exit code is 1 where there are findings, else 0.

    \b
    Examples:
      duomi lint
      duomi lint --diff --prompt-id db_12
      duomi lint --json | jq .counts
    """
    settings = Settings.load()
    sources = read_sources(settings)
    prompts = [prompt for prompt in sources.prompts if not prompt_ids or prompt.id in prompt_ids]
    if unknown := sorted(set(prompt_ids) - {prompt.id for prompt in prompts}):
        raise click.UsageError(f"There is no prompt {unknown[0]}: {sources.why_absent(unknown[0])}.")
    look = _look(settings, prompts)
    if as_json:
        content = {**_as_json(look), "left_out": problems_json(sources.problems)}
        content |= {"changes": _changes_json(look)} if shows_diff else {}
        click.echo(safe(json.dumps(content, ensure_ascii=False, indent=2)))
    else:
        warn_of(sources.problems)
        for line in (*_prompt_lines(look, shows_diff), *_summary(look)):
            click.echo(line)
    if look.findings:
        sys.exit(EXIT_FINDINGS)


def _look(settings: Settings, prompts: Sequence[Prompt]) -> _Look:
    with Session(settings) as session:
        listing = session.store.listing()
        as_written, cleaned = (
            make_plan(
                prompts,
                settings.model_copy(update={"clean_prompts": clean}),
                ParameterOverrides(),
                session.ledger,
                listing,
            )
            for clean in (False, True)
        )
        return _Look(settings, as_written, cleaned)


def _prompt_lines(look: _Look, shows_diff: bool) -> Iterator[str]:
    for entry in look.as_written.entries:
        prompt, changed = entry.prompt, look.changes.get(entry.prompt.id) if shows_diff else None
        found = look.findings.get(prompt.id, ())
        if not (found or changed):
            continue
        model = f", {entry.request.model}" if entry.request.model != look.settings.model else ""
        yield safe(f"{prompt.id} ({prompt.origin}{model})")
        for finding in found:
            yield f"  {finding.kind}: {safe(finding.text)}"
        if changed:
            colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
            yield _indented(word_diff(prompt.text, changed.request.prompt, colour=colour))
            if (negative := _negative(changed)) != _negative(entry):
                yield f"    negative_prompt: {safe(negative)}"
        yield ""


def _summary(look: _Look) -> Iterator[str]:
    total = len(look.as_written.entries)
    for kind, count in look.counts.most_common():
        yield f"{count:>8}  {kind}"
    yield (
        f"{len(look.findings)} of {total} prompts have findings." if look.findings else f"{total} prompts are healthy."
    )
    if not look.changes:
        return
    if look.settings.clean_prompts:
        yield f"Cleaning is on: {len(look.changes)} prompts are sent without what `duomi lint --diff` marks."
        return
    yield (
        f"Cleaning would change what is sent for {len(look.changes)} prompts: `duomi lint --diff` shows how, "
        "DUOMI_CLEAN_PROMPTS=true switches it on."
    )
    if look.outdated:
        yield (
            f"No source would change; {len(look.outdated)} pictures would be outdated, and making them anew would take "
            f"{look.requests} requests: {amount(look.cost, look.settings.currency)}."
        )
    else:
        yield "No source would change, and no picture would be outdated."


def _as_json(look: _Look) -> dict[str, Any]:
    entries = look.as_written.by_id
    return {
        "healthy": not look.findings,
        "prompts": len(entries),
        "counts": dict(look.counts.most_common()),
        "findings": [
            {
                "prompt_id": prompt_id,
                "origin": entries[prompt_id].prompt.origin,
                "model": entries[prompt_id].request.model,
                "kind": finding.kind,
                "text": finding.text,
            }
            for prompt_id, found in look.findings.items()
            for finding in found
        ],
        "cleaning": {
            "on": look.settings.clean_prompts,
            "changes": len(look.changes),
            "outdated": len(look.outdated),
            "requests": look.requests,
            "cost": look.cost,
            "currency": look.settings.currency,
        },
    }


def _changes_json(look: _Look) -> list[dict[str, Any]]:
    return [
        {
            "prompt_id": prompt_id,
            "text": entry.prompt.text,
            "sent": entry.request.prompt,
            "negative_prompt": _negative(entry),
        }
        for prompt_id, entry in look.changes.items()
    ]


def _negative(entry: PlannedPrompt) -> str:
    return str(entry.request.body.get("negative_prompt", ""))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.split("\n"))
