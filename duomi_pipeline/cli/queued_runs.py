"""`duomi generate --launch`: the work goes to the workers of the instance, as runs in Dagster's queue."""

import time
import uuid
from collections.abc import Sequence

import click
import dagster as dg
from dagster._daemon.controller import get_daemon_statuses

from duomi_pipeline.cli.images_options import images_options
from duomi_pipeline.cli.options import Options
from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.common.text import counted
from duomi_pipeline.engine import Plan, PlannedPrompt
from duomi_pipeline.orchestration.instance import open_instance
from duomi_pipeline.orchestration.partition_ranges import partition_ranges
from duomi_pipeline.orchestration.partition_sync import add_partitions
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.orchestration.queueing import NotQueuedError, queue_runs
from duomi_pipeline.orchestration.run_tags import COMMAND_TAG
from duomi_pipeline.settings import Settings

_DAEMON = "QUEUED_RUN_COORDINATOR"
_LOOK = 2.0  # seconds between two looks at the runs


def launch(settings: Settings, plan: Plan, wanted: Sequence[PlannedPrompt], options: Options) -> bool:
    """Put runs for the wanted prompts into the queue, and wait for them where that is wanted.

    Returns whether none of them has failed, as far as is known.
    """
    passable = (lambda _: False) if options.force else plan.is_current
    suspects = {entry.prompt.id for entry in wanted if entry.is_suspect}
    command = uuid.uuid4().hex[:12]
    with open_instance(settings) as instance:
        with announce_if_slow("Recording new prompts in Dagster"):
            add_partitions(instance, [entry.prompt.id for entry in plan.entries])
        order = instance.get_dynamic_partitions(PARTITIONS_NAME)
        ids = {entry.prompt.id for entry in wanted}
        ranges = partition_ranges(order, ids, passable, settings.run_size, last=suspects)
        try:
            queued = queue_runs(instance, settings, ranges, images_options(options), command)
        except NotQueuedError as error:
            raise click.ClickException(f"Dagster does not take the run: {error}") from error
        for run_id, found in zip(queued, ranges, strict=True):
            click.echo(f"{run_id}  {found.first} to {found.last}")
        where = f"In Dagster's UI: Runs, tag {COMMAND_TAG}={command}."
        click.echo(f"{counted(len(queued), 'run')} in the queue. {where}", err=True)
        if not get_daemon_statuses(instance, [_DAEMON], ignore_errors=True)[_DAEMON].healthy:
            click.echo("Dagster's daemon does not run: they wait until it does (duomi dev, or deploy/).", err=True)
        return not options.wait or _followed(instance, command, len(queued))


def _followed(instance: dg.DagsterInstance, command: str, count: int) -> bool:
    """Print what becomes of the runs, until the last has ended; whether all have succeeded."""
    said: dict[str, dg.DagsterRunStatus] = {}
    latest: dict[str, dg.DagsterRun] = {}
    try:
        while sum(_has_ended(run) for run in latest.values()) < count:
            if latest:
                time.sleep(_LOOK)
            for run in reversed(instance.get_runs(dg.RunsFilter(tags={COMMAND_TAG: command}))):
                if said.get(run.run_id) is not run.status:
                    said[run.run_id] = run.status
                    click.echo(f"{run.run_id}  {run.status.value.lower()}", err=True)
                latest[run.root_run_id or run.run_id] = run  # a run that died is started again as another one
    except KeyboardInterrupt:
        click.echo("\nThe runs go on without this command; cancel them in Dagster's UI.", err=True)
        raise
    return all(run.is_success for run in latest.values())


def _has_ended(run: dg.DagsterRun) -> bool:
    return run.is_finished and run.tags.get("dagster/will_retry") != "true"
