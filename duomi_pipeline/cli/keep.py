"""`duomi keep`: an earlier picture becomes the prompt's own again. What that means is in `maintenance.choices`."""

import sys
from pathlib import Path

import click

from duomi_pipeline.cli.console import moment
from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.common.text import counted, safe
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.looking import Manner, look, registered
from duomi_pipeline.maintenance.choices import Choice, ChoiceError, choose, versions_of
from duomi_pipeline.maintenance.choices import keep as keep_choices
from duomi_pipeline.maintenance.reroll import MarksError, read_marks
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.reporting.run_log import rows_and_files_left_out
from duomi_pipeline.settings import Settings


@click.command()
@click.argument("prompt_id", metavar="ID", required=False)
@click.argument("version", required=False)
@click.option(
    "--marks",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Every picked version that is not in use; FILE is the gallery's export.",
)
def keep(prompt_id: str | None, version: str | None, marks: Path | None) -> None:
    """Keep an earlier picture: it becomes the prompt's own again, and stays. Nothing is bought.

    VERSION is its number (1: the oldest) or file name; without one the versions are listed. What its request has
    otherwise than the settings (seed, model, …) is recorded in DUOMI_OVERRIDES_FILE.

    \b
    Examples:
      duomi keep db_12
      duomi keep db_12 1
      duomi keep --marks ~/Downloads/duomi-marks.json
    """
    if (prompt_id is None) == (marks is None):
        raise click.UsageError("Name a prompt, or --marks FILE")
    settings = Settings.load()
    with Session(settings) as session:
        by_id = {prompt.id: prompt for prompt in _sources(session).prompts}
        if marks is not None:
            choices, refused = _picked(session, by_id, marks)
        elif prompt_id not in by_id:
            raise click.UsageError(f"There is no prompt {prompt_id}. `duomi plan --json` lists ids.")
        elif version is None:
            _list(session, str(prompt_id))
            return
        else:
            choices, refused = _chosen(session, [(by_id[str(prompt_id)], version)])
        for why in refused:
            click.echo(safe(f"Not kept: {why}"), err=True)
        if choices:
            _keep(session, choices)
    if refused or not choices:
        sys.exit(int(bool(refused)))


def _keep(session: Session, choices: list[Choice]) -> None:
    """Keep the versions, and let a run of Dagster tell it, that buys nothing."""
    from duomi_pipeline.cli.dagster_runs import run_in_process  # noqa: PLC0415 - Dagster takes seconds to import
    from duomi_pipeline.orchestration.assets.images_config import CHOSEN, ImagesConfig  # noqa: PLC0415

    try:
        keep_choices(session, choices)
    except ChoiceError as error:
        raise click.ClickException(str(error)) from error
    sources, ids = _sources(session), {choice.prompt.id for choice in choices}
    plan = session.plan([prompt for prompt in sources.prompts if prompt.id in ids])
    left_out = rows_and_files_left_out(sources)
    run_in_process(session.settings, plan, list(plan.entries), ImagesConfig(max_images=0, states=CHOSEN), left_out)
    for choice in choices:
        own = ", ".join(f"{name} {value}" for name, value in choice.parameters.explicit().items())
        click.echo(f"{choice.prompt.id}: {choice.version.files[0].file} is kept{f' ({own})' if own else ''}")


def _sources(session: Session) -> Sources:
    with announce_if_slow("Reading the prompts"):
        look(session.ledger, session.settings, Manner.ATTENDED)
        return registered(session.ledger)


def _picked(session: Session, prompts: dict[str, Prompt], path: Path) -> tuple[list[Choice], list[str]]:
    """The picked versions of a marks file that are not in use, and why others cannot be kept."""
    try:
        picks = read_marks(path).picks
    except MarksError as error:
        raise click.UsageError(f"--marks {error}") from error
    selections = session.ledger.selections(list(picks))
    in_use = {file.file for selection in selections.values() for file in selection.files}
    wanted = [(prompts[key], file) for key, file in picks.items() if key in prompts and file and file not in in_use]
    if gone := sorted(picks.keys() - prompts.keys()):
        click.echo(f"Left out: prompts that no longer exist: {safe(', '.join(gone))}", err=True)
    if rest := len(picks) - len(wanted) - len(gone):
        click.echo(f"{counted(rest, 'picked picture')} in use already", err=True)
    return _chosen(session, wanted)


def _chosen(session: Session, wanted: list[tuple[Prompt, str]]) -> tuple[list[Choice], list[str]]:
    choices, refused = [], []
    for prompt, which in wanted:
        try:
            choices.append(choose(session, prompt, which))
        except ChoiceError as error:
            refused.append(str(error))
    return choices, refused


def _list(session: Session, prompt_id: str) -> None:
    versions = versions_of(session, prompt_id)
    for one in versions:
        body, seed = one.purchase.content["body"], one.purchase.seed_used
        told = [
            moment(one.files[0].saved_at),
            safe(str(body["model"])),
            f"seed {seed}" if seed is not None else "",
            one.files[0].file,
        ]
        used = ["in use"] if one.is_selected else []
        click.echo("  ".join(filter(None, [str(one.number), *told, *used])))
    if not versions:
        click.echo(f"{prompt_id} has no picture yet.", err=True)
