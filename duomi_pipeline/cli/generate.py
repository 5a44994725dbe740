"""`duomi generate`: from flags to the wanted prompts; the runs themselves are in `dagster_runs`."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import click

from duomi_pipeline.cli.console import (
    addressed,
    json_option,
    print_estimate,
    print_findings,
    print_json,
    problems_json,
    say,
    warn_of,
    warn_of_texts,
)
from duomi_pipeline.cli.options import Options
from duomi_pipeline.cli.parameter_flags import given_parameters, parameter_flags
from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.cli.report import EXIT_FAILED, Report
from duomi_pipeline.common.processes import keep_freed_memory, lasting
from duomi_pipeline.common.text import counted, one_line, safe, sentence
from duomi_pipeline.engine import Plan, PlannedPrompt, Session
from duomi_pipeline.engine.looking import Looked, Manner, look
from duomi_pipeline.engine.plan import requests_to_buy
from duomi_pipeline.engine.prompt_ids import with_known_ids
from duomi_pipeline.maintenance.choices import ChoiceError, own_parameters, record, with_parameters
from duomi_pipeline.maintenance.reroll import MarksError, Reroll, plan_reroll, read_marks
from duomi_pipeline.prompts import Prompt, read_sources
from duomi_pipeline.prompts.json_files import PATIENCE, wait_for_files
from duomi_pipeline.prompts.single_prompts import save_single_prompt
from duomi_pipeline.prompts.sources import Sources, prompt_folder, recorded_overrides
from duomi_pipeline.reporting.estimate import Estimate, estimate
from duomi_pipeline.reporting.receipt import amount
from duomi_pipeline.reporting.run_log import rows_and_files_left_out
from duomi_pipeline.reporting.unusual import FEW
from duomi_pipeline.settings import ImageParameters, ParameterOverrides, Settings

_MAX_NAMES, _MAX_NAME = 3, 100  # files named in a line, and characters of each
# Flags that are settings for this one command.
_SETTING_FLAGS = {
    "input_dir": "prompt_dir",
    "delay": "delay",
    "api_key": "api_key",
    "concurrency": "max_concurrency",
    "max_spend": "max_spend_per_run",
}


@click.command()
@click.option("--source", type=click.Choice(["sqlite", "json", "prompt"]), help="Default: table and files.")
@click.option("--prompt", "text", metavar="TEXT", help="With --source prompt: what to draw.")
@click.option("--input-dir", metavar="DIR", help="Folder of the JSON files.")
@click.option("--limit", type=click.IntRange(min=0), help="Only the first N prompts of the source.")
@click.option("--delay", type=float, metavar="S", help="Seconds between two starts of requests.")
@click.option("--api-key", metavar="KEY", help="Better: DUOMI_API_KEY, which others on this machine cannot see.")
@parameter_flags
@click.option("--prompt-id", "ids", multiple=True, metavar="ID", help="Only this prompt; may be repeated.")
@click.option(
    "--reroll",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="New seeds for pictures that were rejected in the gallery; FILE is its export.",
)
@click.option("--outdated", is_flag=True, help="Also pictures made with other settings.")
@click.option("--failed", is_flag=True, help="Also prompts that failed.")
@click.option("--force", is_flag=True, help="Also current pictures: buy them again.")
@click.option("--regenerate-lost", is_flag=True, help="Also pictures lost with their folder: buy them again.")
@click.option("--concurrency", type=int, metavar="N", help="Requests in flight.")
@click.option("--max-images", type=click.IntRange(min=0), metavar="N", help="Buy at most N pictures.")
@click.option("--max-spend", type=float, metavar="X", help="Spend at most X (needs DUOMI_PRICE_PER_IMAGE).")
@click.option("--dry-run", is_flag=True, help="Only print what would be done.")
@click.option("--launch", is_flag=True, help="Leave the work to the workers of the Dagster instance (DAGSTER_HOME).")
@click.option("--wait", is_flag=True, help="With --launch: until all of it is done.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation before many paid requests.")
@json_option
def generate(**flags: Any) -> None:
    """Generate pictures for missing and changed prompts; --outdated, --failed and --force widen that.

    \b
    Examples:
      duomi generate --source sqlite --limit 10 --delay 2.0
      duomi generate --source json --input-dir path/to/json/files
      duomi generate --source prompt --prompt "a cyberpunk cityscape at night"
      duomi generate --prompt-id db_12 --force --seed 42
      duomi generate --reroll ~/Downloads/duomi-marks.json
      duomi generate --launch --wait

    Exit codes: 0 all wanted pictures exist, 1 some failed, 2 wrong usage, 3 stopped by the service, or pictures or
    ledger look lost, 4 stopped by a cap, 130 interrupted (Ctrl-C finishes requests in flight; a second one exits at
    once).
    """
    keep_freed_memory()  # before there is any other thread
    other_folder = flags["input_dir"] is not None
    if flags["launch"]:
        _check_launch(flags)
    elif flags["wait"]:
        raise click.UsageError("--wait needs --launch.")
    settings = Settings.load(**{setting: flags.pop(flag) for flag, setting in _SETTING_FLAGS.items()})
    parameters = given_parameters(flags)
    own = {name: value for name, value in flags.items() if name not in ImageParameters.model_fields}
    options = Options(**own, parameters=parameters, other_folder=other_folder)
    if options.source == "prompt":
        if options.dry_run:
            click.echo("1 prompt to generate; nothing was saved or sent", err=True)
            return
        prompt_id = _save_single_prompt(settings, options.text, parameters)
        options = replace(options, ids=(prompt_id,), parameters=ParameterOverrides())
    elif options.text:
        raise click.UsageError("--prompt needs --source prompt.")
    _generate(settings, options)


def _check_launch(flags: Mapping[str, Any]) -> None:
    """Refuse what holds for one process and cannot be said to workers elsewhere."""
    for flag in (*_SETTING_FLAGS, "max_images", "as_json"):
        if flags[flag] not in (None, False):
            name = "--json" if flag == "as_json" else f"--{flag.replace('_', '-')}"
            raise click.UsageError(f"{name} holds for this command alone: leave it out, or --launch.")


def _generate(settings: Settings, options: Options) -> None:
    known = recorded_overrides(settings) if options.reroll else None
    with lasting(), Session(settings) as session:
        looked = _look(session, options)
        unfinished = looked.sources.files.unfinished
        if unfinished and options.source in (None, "json"):
            _wait_for(settings, unfinished)
            looked = _look(session, options)
        if options.source == "sqlite" and "db_" in looked.sources.unknown:
            raise click.UsageError(looked.sources.unknown["db_"])
        warn_of(looked.problems)
        plan, own, options = _planned(session, looked, options)
        wanted = plan.wanted(options.states)
        estimated = _estimate(session, wanted, options)
    left_out = rows_and_files_left_out(looked.sources)
    if options.regenerate_lost and not plan.is_blind:
        plan = replace(plan, stop=None)
    print_findings(plan, settings.image_dir)
    if plan.stop:
        report = Report.of(settings, plan, wanted)
    elif not options.dry_run:
        _announce(settings, wanted, estimated)
        _confirm(settings, estimated, options)
        if own:
            record(settings, own, known)
            with Session(settings) as session:
                _look(session, options)
        if options.launch and wanted:
            _launch(settings, plan, wanted, options)
            return
        report = _run(settings, plan, wanted, options, left_out)
    else:
        _announce(settings, wanted, estimated)
        if not options.as_json:
            return
        report = Report.of(settings, plan, wanted)
    if options.as_json:
        left_out_json = problems_json(looked.problems)
        print_json({**report.as_json(), "estimate": estimated.as_json(), "left_out": left_out_json})
    else:
        say(report.as_text())
    sys.exit(0 if options.dry_run and not plan.stop else report.exit_code)


def _planned(
    session: Session, looked: Looked, options: Options
) -> tuple[Plan, Mapping[str, ParameterOverrides], Options]:
    """The plan of the chosen prompts; what a person asked of single ones, which becomes their own; the options left."""
    if options.are_of_all and not looked.doubts:
        with announce_if_slow("Looking at the pictures"):
            found = session.plan_registered(options.parameters, looked.believed, looked.sources.prompts)
            return found, {}, options
    said = looked.said(session.ledger, session.settings)
    if options.limit is not None:  # the first ones by the source's own order, which the register may not have
        said = with_known_ids(read_sources(session.settings), session.ledger, session.settings)
    selected = _selected(said, options)
    with announce_if_slow("Looking at the pictures"):
        plan = session.plan(selected, options.parameters)
    own: Mapping[str, ParameterOverrides] = {}
    if options.reroll:
        reroll = _reroll(plan, options.reroll)
        own = reroll.own(options.parameters)
        selected = [prompt for prompt in selected if prompt.id in own]
        options = replace(options, failed=True, force=options.force or bool(reroll.seedless))
    elif options.ids and options.parameters.explicit():
        try:
            own = own_parameters(session.settings, plan.wanted(options.states), options.parameters)
        except ChoiceError as error:
            raise click.UsageError(str(error)) from error
    if own:
        options = replace(options, parameters=ParameterOverrides())
    chosen = [with_parameters(prompt, own.get(prompt.id, options.parameters)) for prompt in selected]
    return (session.plan(chosen, options.parameters) if own or options.reroll else plan), own, options


def _look(session: Session, options: Options) -> Looked:
    """Look at the sources; runs take what they say from the register. A dry run leaves that as it is."""
    with announce_if_slow("Reading the prompts"):
        if options.dry_run:
            return Looked(with_known_ids(read_sources(session.settings), session.ledger, session.settings))
        manner = Manner.VISITING if options.other_folder else Manner.ATTENDED
        return look(session.ledger, session.settings, manner)


def _wait_for(settings: Settings, names: Collection[str]) -> None:
    """Wait once for files that are still being written, and say so."""
    some = ", ".join(one_line(name, _MAX_NAME) for name in sorted(names)[:_MAX_NAMES])
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    say(f"Changed a moment ago and not whole: {some}{more}. Waiting until written, at most {PATIENCE:g} s …", err=True)
    wait_for_files(prompt_folder(settings), names)


def _reroll(plan: Plan, path: Path) -> Reroll:
    """What to do about the rejected pictures of a marks file; prints which prompts are skipped."""
    try:
        rejects = read_marks(path).rejects
    except MarksError as error:
        raise click.UsageError(sentence(f"--reroll {error}")) from error
    if gone := sorted(set(rejects) - set(plan.by_id)):
        click.echo(f"Left out: prompts that no longer exist: {safe(', '.join(gone))}", err=True)
    found = plan_reroll(plan, rejects)
    if found.done:
        click.echo(f"{counted(len(found.done), 'rejected picture')} replaced already", err=True)
    return found


def _run(settings: Settings, plan: Plan, wanted: list[PlannedPrompt], options: Options, left_out: int) -> Report:
    if not wanted:
        return Report.of(settings, plan, wanted)
    # Imported here: Dagster takes seconds to import, and a dry run, or a run with nothing to do, does not need it.
    with lasting():
        from duomi_pipeline.cli.dagster_runs import run_in_process  # noqa: PLC0415
        from duomi_pipeline.cli.images_options import images_options  # noqa: PLC0415

    return run_in_process(settings, plan, wanted, images_options(options), left_out)


def _launch(settings: Settings, plan: Plan, wanted: list[PlannedPrompt], options: Options) -> None:
    from duomi_pipeline.cli.queued_runs import launch  # noqa: PLC0415 - as above

    if not launch(settings, plan, wanted, options):
        sys.exit(EXIT_FAILED)


def _save_single_prompt(settings: Settings, text: str | None, parameters: ParameterOverrides) -> str:
    if not text or not text.strip():
        raise click.UsageError('--source prompt needs --prompt "what to draw".')
    try:
        return save_single_prompt(settings, text, parameters).id
    except (ValueError, OSError) as error:
        raise click.UsageError(sentence(f"--prompt: {error}")) from error


def _selected(sources: Sources, options: Options) -> list[Prompt]:
    readings = {
        "sqlite": sources.table.prompts,
        "json": sources.files.prompts,
        "prompt": sources.files.prompts,
    }
    prompts = readings[options.source] if options.source else sources.prompts
    ids = set(options.ids)
    if unknown := sorted(ids - {prompt.id for prompt in prompts}):
        raise click.UsageError(f"There is no prompt {', '.join(unknown)}. `duomi plan --json` lists ids.")
    return [prompt for prompt in prompts if not ids or prompt.id in ids][: options.limit]


def _estimate(session: Session, wanted: list[PlannedPrompt], options: Options) -> Estimate:
    requests = list(requests_to_buy(wanted, force=options.force).values())
    runs = ceil(len(wanted) / session.settings.run_size) if options.launch else 1
    return estimate(session.ledger, session.settings, requests, max_images=options.max_images, runs=runs)


def _announce(settings: Settings, wanted: list[PlannedPrompt], estimated: Estimate) -> None:
    warn_of_texts(wanted)
    is_free = settings.uses_sandbox or not estimated.requests
    cost = "" if is_free else f", cost: {amount(estimated.cost, settings.currency)}"
    say(f"{counted(len(wanted), 'prompt')} to generate, {addressed(estimated, settings)}{cost}", err=True)
    print_estimate(estimated, len(wanted), err=True)


def _confirm(settings: Settings, estimated: Estimate, options: Options) -> None:
    """Ask on a terminal before many requests, or unusually dear ones, to a service that costs money."""
    many = estimated.requests > FEW or estimated.warning
    if many and not options.yes and settings.host_kind == "service" and sys.stdin.isatty():
        click.confirm("Go on?", abort=True, err=True)
