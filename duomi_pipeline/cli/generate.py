"""`duomi generate`: flags to a selection of prompts, the selection to Dagster runs in this process."""

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import ValidationError

from duomi_pipeline.cli.console import json_option, print_json, problems_json, warn_of
from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.cli.report import Report
from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.engine import GENERATED_BY_ITSELF, Plan, PlannedPrompt, Session, State
from duomi_pipeline.engine.plan import requests_to_buy, total_cost
from duomi_pipeline.maintenance.reconcile import lost_ledger
from duomi_pipeline.maintenance.reroll import MarksError, Reroll, plan_reroll, read_rejects
from duomi_pipeline.prompts import Prompt, read_sources
from duomi_pipeline.prompts.overrides import record_seeds
from duomi_pipeline.prompts.single_prompts import save_single_prompt
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.reporting.receipt import amount
from duomi_pipeline.settings import Parameters, Settings

CONFIRM_ABOVE = 20  # requests to a service that costs money, on a terminal
_PARAMETER_FLAGS = ("model", "image_size", "num_inference_steps", "guidance_scale", "seed", "negative_prompt")
# Flags that are settings for this one command.
_SETTING_FLAGS = {
    "input_dir": "DUOMI_PROMPT_DIR",
    "delay": "DUOMI_DELAY",
    "api_key": "DUOMI_API_KEY",
    "concurrency": "DUOMI_MAX_CONCURRENCY",
    "max_spend": "DUOMI_MAX_SPEND_PER_RUN",
}


@click.command()
@click.option("--source", type=click.Choice(["sqlite", "json", "prompt"]), help="Default: the table and the files.")
@click.option("--prompt", "text", metavar="TEXT", help="With --source prompt: what to draw.")
@click.option("--input-dir", metavar="DIR", help="Folder of the JSON files.")
@click.option("--limit", type=click.IntRange(min=0), help="Only the first N prompts of the source.")
@click.option("--delay", type=float, metavar="S", help="Seconds between two starts of requests.")
@click.option("--api-key", metavar="KEY", help="Better: DUOMI_API_KEY, which others on this machine cannot see.")
@click.option("--model", metavar="M")
@click.option("--image-size", metavar="WxH", help="What is delivered, such as 1080x1920.")
@click.option("--num-inference-steps", type=int, metavar="N")
@click.option("--guidance-scale", type=float, metavar="X")
@click.option("--seed", type=int)
@click.option("--negative-prompt", metavar="T")
@click.option("--prompt-id", "ids", multiple=True, metavar="ID", help="Only this prompt; several may be given.")
@click.option(
    "--reroll",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Another seed for the pictures that were rejected in the gallery.",
)
@click.option("--outdated", is_flag=True, help="Also pictures made with other settings.")
@click.option("--failed", is_flag=True, help="Also prompts that failed.")
@click.option("--force", is_flag=True, help="Buy again also what is current.")
@click.option("--concurrency", type=int, metavar="N", help="Requests in flight.")
@click.option("--max-images", type=click.IntRange(min=0), metavar="N", help="Buy at most N pictures.")
@click.option("--max-spend", type=float, metavar="X", help="Spend at most X (needs DUOMI_PRICE_PER_IMAGE).")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask before many paid requests.")
@json_option
def generate(**flags: Any) -> None:
    """Bring prompts to pictures: missing and changed ones; --outdated, --failed and --force widen that.

    \b
    Examples:
      duomi generate --source sqlite --limit 10 --delay 2.0
      duomi generate --source json --input-dir path/to/json/files
      duomi generate --source prompt --prompt "a cyberpunk cityscape, vertical composition"
      duomi generate --prompt-id db_12 --force --seed 42
      duomi generate --reroll ~/Downloads/duomi-marks.json
    \b
    Exit codes: 0 all wanted pictures are there, 1 some failed, 2 wrong usage, 3 stopped by the service,
    4 stopped by a cap, 130 interrupted (Ctrl-C finishes what is in flight; a second one leaves at once).
    """
    for flag, variable in _SETTING_FLAGS.items():
        if flags[flag] is not None:
            os.environ[variable] = str(flags[flag])
    settings = Settings.load()
    parameters = _parameters(flags)
    ids = set(flags["ids"]) or None
    if flags["source"] == "prompt" and flags["dry_run"]:
        click.echo("1 prompt to bring to a picture; nothing was kept or sent", err=True)
        return
    if flags["source"] == "prompt":
        ids, parameters = {_keep_single_prompt(settings, flags["text"], parameters)}, Parameters()
    elif flags["text"]:
        raise click.UsageError("--prompt goes with --source prompt")
    with announce_if_slow("Reading the prompts"):
        sources = read_sources(settings)
    if flags["source"] == "sqlite" and "db_" in sources.unknown:
        raise click.UsageError(sources.unknown["db_"])
    warn_of(sources.problems)
    selected = _selected(sources, flags["source"], ids, flags["limit"])
    with Session(settings) as session:
        _check_ledger(session)
        plan, reroll = session.plan(selected, parameters), None
        if flags["reroll"]:
            reroll = _reroll(plan, flags["reroll"])
            flags |= {"failed": True, "force": flags["force"] or bool(reroll.seedless)}
            plan = session.plan(reroll.applied_to(selected), parameters)
    wanted = plan.wanted(_states(flags))
    _announce(settings, wanted, force=flags["force"])
    if flags["dry_run"]:
        if flags["as_json"]:
            print_json({**Report.of(settings, plan, wanted).as_json(), "left_out": problems_json(sources.problems)})
        return
    _confirm(settings, wanted, force=flags["force"], yes=flags["yes"])
    if reroll and reroll.seeds:
        record_seeds(settings.path(settings.overrides_file), reroll.seeds)
        sources = read_sources(settings)
    report = _run(settings, sources, plan, wanted, parameters, flags)
    if flags["as_json"]:
        print_json({**report.as_json(), "left_out": problems_json(sources.problems)})
    else:
        click.echo(report.as_text())
    sys.exit(report.exit_code)


def _reroll(plan: Plan, path: Path) -> Reroll:
    """What to do about the rejected pictures of a file of marks; says who is left out."""
    try:
        rejects = read_rejects(path)
    except MarksError as error:
        raise click.UsageError(f"--reroll {error}") from error
    if gone := sorted(set(rejects) - set(plan.by_id)):
        click.echo(f"Left out: no such prompt any more: {', '.join(gone)}", err=True)
    found = plan_reroll(plan, rejects)
    if found.done:
        click.echo(f"{len(found.done)} rejected pictures have been replaced already", err=True)
    return found


def _check_ledger(session: Session) -> None:
    if problem := lost_ledger(session):
        raise click.UsageError(problem)


def _run(
    settings: Settings,
    sources: Sources,
    plan: Plan,
    wanted: list[PlannedPrompt],
    parameters: Parameters,
    flags: dict[str, Any],
) -> Report:
    if not wanted:
        return Report.of(settings, plan, wanted)
    # Imported here: Dagster takes seconds to import, and a dry run or a second run needs none of it.
    from duomi_pipeline.cli.dagster_runs import run_in_process  # noqa: PLC0415

    return run_in_process(
        settings,
        sources,
        plan,
        wanted,
        parameters,
        states=_states(flags),
        force=flags["force"],
        max_images=flags["max_images"],
    )


def _parameters(flags: dict[str, Any]) -> Parameters:
    try:
        return Parameters(**{name: flags[name] for name in _PARAMETER_FLAGS})
    except ValidationError as error:
        first = error.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-")
        raise click.UsageError(f"--{flag} {first['input']}: {first['msg'].removeprefix('Value error, ')}") from error


def _keep_single_prompt(settings: Settings, text: str | None, parameters: Parameters) -> str:
    if not text or not text.strip():
        raise click.UsageError('--source prompt needs --prompt "what to draw"')
    try:
        return save_single_prompt(settings, text, parameters).id
    except (ValueError, OSError) as error:
        raise click.UsageError(f"--prompt: {error}") from error


def _selected(
    sources: Sources,
    source: Literal["sqlite", "json", "prompt"] | None,
    ids: Collection[str] | None,
    limit: int | None,
) -> list[Prompt]:
    readings = {
        "sqlite": sources.table.prompts,
        "json": sources.files.prompts,
        "prompt": sources.files.prompts,
    }
    prompts = readings[source] if source else sources.prompts
    if ids is not None and (unknown := sorted(set(ids) - {prompt.id for prompt in prompts})):
        raise click.UsageError(f"There is no prompt {', '.join(unknown)}. `duomi plan --json` lists ids.")
    return [prompt for prompt in prompts if ids is None or prompt.id in ids][:limit]


def _states(flags: dict[str, Any]) -> frozenset[State]:
    states = set(GENERATED_BY_ITSELF)
    if flags["outdated"]:
        states.add(State.OUTDATED)
    if flags["failed"]:
        states |= {State.FAILED_FOR_NOW, State.FAILED_FOR_GOOD}
    return frozenset(State) if flags["force"] else frozenset(states)


def _requests(wanted: list[PlannedPrompt], *, force: bool) -> list[ImageRequest]:
    every = {entry.request.key: entry.request for entry in wanted}
    return list((every if force else requests_to_buy(wanted)).values())


def _announce(settings: Settings, wanted: list[PlannedPrompt], *, force: bool) -> None:
    requests = _requests(wanted, force=force)
    where = "the built-in sandbox (free)" if settings.uses_sandbox else settings.service_url
    cost = "" if settings.uses_sandbox or not requests else f", cost: {amount(total_cost(requests), settings.currency)}"
    click.echo(f"{len(wanted)} prompts to bring to pictures, {len(requests)} requests to {where}{cost}", err=True)


def _confirm(settings: Settings, wanted: list[PlannedPrompt], *, force: bool, yes: bool) -> None:
    many = len(_requests(wanted, force=force)) > CONFIRM_ABOVE
    if many and not yes and settings.host_kind == "service" and sys.stdin.isatty():
        click.confirm("Go on?", abort=True, err=True)
