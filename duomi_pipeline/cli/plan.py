"""`duomi plan`. States and requests are decided in `engine.plan`."""

import click

from duomi_pipeline.cli.console import (
    addressed,
    json_option,
    print_estimate,
    print_findings,
    print_json,
    print_states,
    problems_json,
    say,
    warn_of,
    warn_of_texts,
)
from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.common.processes import lasting
from duomi_pipeline.common.text import counted
from duomi_pipeline.engine import GENERATED_BY_ITSELF, Session, State
from duomi_pipeline.engine.looking import look
from duomi_pipeline.engine.plan import requests_to_buy
from duomi_pipeline.reporting.estimate import estimate
from duomi_pipeline.reporting.receipt import amount
from duomi_pipeline.settings import Settings


@click.command()
@json_option
def plan(as_json: bool) -> None:
    """Print what `duomi generate` would do and cost. Nothing is sent.

    \b
    Examples:
      duomi plan
      duomi plan --json | jq .states
    """
    settings = Settings.load()
    with lasting(), announce_if_slow("Reading the prompts"), Session(settings) as session:
        looked = look(session.ledger, settings)
        found = (
            session.plan(looked.said(session.ledger, settings).prompts)
            if looked.doubts
            else session.plan_registered(sources=looked.believed, read=looked.sources.prompts)
        )
        wanted = [] if found.stop else found.wanted(GENERATED_BY_ITSELF)
        estimated = estimate(session.ledger, settings, list(requests_to_buy(wanted).values()))
    print_findings(found, settings.image_dir)
    if as_json:
        print_json(
            {
                "states": {state.value: count for state, count in found.counts.items()},
                "generate": [entry.prompt.id for entry in wanted],
                "model": settings.model,
                **estimated.as_json(),
                "stop": found.stop.message if found.stop else None,
                "left_out": problems_json(looked.problems),
            }
        )
        return
    warn_of(looked.problems)
    warn_of_texts(wanted)
    print_states(found.counts, [state for state in State if found.counts[state]])
    prompts = counted(len(wanted), "prompt")
    say(f"duomi generate would make pictures for {prompts} with {addressed(estimated, settings)}")
    click.echo(f"Cost: {amount(estimated.cost, settings.currency)}")
    print_estimate(estimated, len(wanted))
