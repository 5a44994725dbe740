"""`duomi clean`. What can be removed is found by `maintenance.old_files` and `orchestration.old_runs`."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from duomi_pipeline.cli.console import json_option, print_json
from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.maintenance.old_files import Removable, old_files
from duomi_pipeline.orchestration.instance import dagster_home, open_instance
from duomi_pipeline.orchestration.old_runs import NotKeptError, old_runs
from duomi_pipeline.settings import Settings


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def clean(dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show the size of old runs, logs and caches, and remove them when asked.

    Dagster's runs that ended over DUOMI_KEEP_RUNS_DAYS ago, results files and log files over DUOMI_KEEP_LOGS_DAYS old,
    and cached prompt files of folders that are not DUOMI_PROMPT_DIR. Partitions stay materialized. Never
    removed: pictures, ledger, prompts, kept answers, runs in progress, and files that are not ours.

    Asks on a terminal; elsewhere nothing is removed without --yes. Safe while runs are active, and to interrupt.

    \b
    Examples:
      duomi clean                                    shows sizes, then asks
      duomi clean --dry-run
      duomi clean --yes                              for a timer such as cron
      DUOMI_KEEP_RUNS_DAYS=7 duomi clean
    """
    settings = Settings.load()
    with _found(settings) as found:
        if not as_json:
            _show(found)
        removes = any(each.count for each in found) and not dry_run and (yes or _agreed())
        if removes:
            try:
                for each in found:
                    with announce_if_slow(f"Removing {each.what}"):
                        each.remove()
            except OSError as error:
                raise click.ClickException(
                    f"Not everything could be removed: {error}. The rest is unchanged; try again"
                ) from error
    if as_json:
        kinds = {each.kind.value: {"count": each.count, "bytes": each.bytes} for each in found}
        print_json({"removed": removes, "kinds": kinds})
    elif removes:
        click.echo(f"Removed: {_megabytes(sum(each.bytes for each in found))}")


@contextmanager
def _found(settings: Settings) -> Iterator[Sequence[Removable]]:
    """What can be removed; valid inside the block."""
    now = datetime.now(UTC)
    files = old_files(settings, now)
    if not (dagster_home(settings) / "dagster.yaml").is_file():
        yield files
        return
    with open_instance(settings) as instance:
        try:
            runs = [old_runs(instance, settings.keep_runs_days, now)]
        except NotKeptError as error:
            click.echo(str(error), err=True)
            runs = []
        yield [*runs, *files]


def _agreed() -> bool:
    if not sys.stdin.isatty():
        click.echo("Nothing was removed: use --yes to remove without a question", err=True)
        return False
    return click.confirm("Remove them? Pictures, ledger, prompts and kept answers stay", err=True)


def _show(found: Sequence[Removable]) -> None:
    for each in found:
        click.echo(f"{each.count:>8,}  {_megabytes(each.bytes):>10}  {each.what}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
