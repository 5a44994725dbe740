"""`duomi generate` as Dagster runs in this process, one per range of partitions, so that the UI shows them."""

import uuid
import warnings
from collections.abc import Callable, Collection

import click
import dagster as dg

from duomi_pipeline.cli.progress import ProgressReport, announce_if_slow
from duomi_pipeline.cli.report import Report
from duomi_pipeline.common.text import sentence
from duomi_pipeline.engine import Outcome, Plan, PlannedPrompt, Session, Stop, StoppedBy
from duomi_pipeline.engine.outcome import INTERRUPTED
from duomi_pipeline.orchestration.assets.images_config import ImagesConfig
from duomi_pipeline.orchestration.build import build_defs
from duomi_pipeline.orchestration.event_log.sqlite import index_kept_open
from duomi_pipeline.orchestration.instance import open_instance, printing_here
from duomi_pipeline.orchestration.jobs import images_config
from duomi_pipeline.orchestration.partition_ranges import RUN_TAG, PartitionRange, end_dead_runs, partition_ranges
from duomi_pipeline.orchestration.partition_sync import add_partitions
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.orchestration.resources import Command
from duomi_pipeline.reporting.receipt import left_prompts
from duomi_pipeline.reporting.run_log import RunLog
from duomi_pipeline.settings import Settings

_QUIET = {
    "console": {"config": {"log_level": "CRITICAL"}}
}  # `ProgressReport` prints the progress, and the UI has all events


def _not_shown(_outcome: Outcome) -> None:
    """Progress that nobody looks at."""


def run_in_process(
    settings: Settings,
    plan: Plan,
    wanted: list[PlannedPrompt],
    config: ImagesConfig,
    left_out: int,
    progress: Callable[[Outcome], None] = _not_shown,
) -> Report:
    """Generate the wanted prompts. All ranges share one run of the ledger, and so its caps.

    Args:
        settings: of all runs.
        plan: of all selected prompts.
        wanted: those to generate.
        config: of all runs.
        left_out: how many rows and files give no prompt.
        progress: called with each outcome of a wanted prompt, besides the progress on the terminal.
    """
    with (
        Session(settings, "cli", uuid.uuid4().hex) as session,
        open_instance(settings, printing_here) as instance,
        index_kept_open(instance),
    ):
        left = left_prompts(plan.left_without_picture(wanted))
        log = RunLog(session, wanted, left=left, left_out=left_out, force=config.force, max_images=config.max_images)
        with log.written():
            session.ledger.start_run(session.run_id, session.trigger)
            end_dead_runs(instance, session.ledger)
            with announce_if_slow("Recording new prompts in Dagster"):
                add_partitions(instance, [entry.prompt.id for entry in plan.entries])
            order = instance.get_dynamic_partitions(PARTITIONS_NAME)
            passable = (lambda _: False) if config.force else plan.is_current
            suspects = {entry.prompt.id for entry in wanted if entry.is_suspect}
            ranges = partition_ranges(
                order, {entry.prompt.id for entry in wanted}, passable, settings.run_size, last=suspects
            )
            ids = {entry.prompt.id for entry in wanted}
            with ProgressReport(len(wanted), "" if settings.uses_sandbox else settings.currency) as shown:
                command = Command(session, _recorder(ids, log.record, shown.show, progress), shown.writing_manifest)
                job = _job(command)
                for number, partitions in enumerate(ranges, 1):
                    command.more_runs_follow = number < len(ranges)
                    error = _execute(instance, job, partitions, config, session.run_id)
                    log.stop = error or command.stop
                    if log.stop is not None:
                        break
            if command.unwritten:
                click.echo(f"{sentence(command.unwritten)} Next: duomi manifest", err=True)
        return Report.of(settings, plan, wanted, log)


def _recorder(wanted: Collection[str], *told: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
    """A callback that tells outcomes of wanted prompts; a range may hold others, which it ignores."""

    def record(outcome: Outcome) -> None:
        if outcome.prompt.id in wanted:
            for tell in told:
                tell(outcome)

    return record


def _job(command: Command) -> dg.JobDefinition:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return build_defs(command=command).resolve_job_def("generate_missing_images")


def _execute(
    instance: dg.DagsterInstance, job: dg.JobDefinition, partitions: PartitionRange, config: ImagesConfig, run_id: str
) -> Stop | None:
    """Execute one Dagster run. Returns an unexpected error or early Ctrl-C; other failures are in the log already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        result = job.execute_in_process(
            instance=instance,
            run_config=dg.RunConfig(ops=images_config(config).ops, loggers=_QUIET),
            tags={**partitions.tags, RUN_TAG: run_id},
            raise_on_error=False,
        )
    for event in result.all_events:
        if event.is_step_failure and (error := event.step_failure_data.error) and error.cls_name != "Failure":
            if error.cls_name == dg.DagsterExecutionInterruptedError.__name__:  # while prompts and pictures were read
                return INTERRUPTED
            return Stop(StoppedBy.ERROR, f"An unforeseen error: {(error.cause or error).message.strip()}")
    return None
