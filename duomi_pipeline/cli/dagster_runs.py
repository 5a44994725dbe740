"""Dagster runs in this process, one per range of partitions: what the command line did, the UI shows."""

import uuid
import warnings
from collections.abc import Collection

import dagster as dg

from duomi_pipeline.cli.progress import ProgressReport, announce_if_slow
from duomi_pipeline.cli.report import Report, unwanted_failures
from duomi_pipeline.engine import Outcome, Plan, PlannedPrompt, Session, State, Stop
from duomi_pipeline.orchestration.assets.generated_images import MORE_RUNS_FOLLOW, OUTCOME_LISTENER, ImagesConfig
from duomi_pipeline.orchestration.build import build_defs
from duomi_pipeline.orchestration.instance import open_instance
from duomi_pipeline.orchestration.jobs import images_config
from duomi_pipeline.orchestration.partition_ranges import RUN_TAG, PartitionRange, end_dead_runs, partition_ranges
from duomi_pipeline.orchestration.partition_sync import track
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.reporting.receipt import left_prompts
from duomi_pipeline.reporting.run_log import RunLog, rows_and_files_left_out
from duomi_pipeline.settings import Parameters, Settings

_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}  # the progress says it better, and the UI has it all


def run_in_process(
    settings: Settings,
    sources: Sources,
    plan: Plan,
    wanted: list[PlannedPrompt],
    parameters: Parameters,
    *,
    states: Collection[State],
    force: bool,
    max_images: int | None,
) -> Report:
    """Bring the wanted prompts to pictures. All ranges share one ledger run, and so its caps."""
    config = ImagesConfig(
        **parameters.explicit(),
        force=force,
        max_images=max_images,
        states=sorted(state.value for state in states),
    )
    passable = set() if force else {e.prompt.id for e in plan.entries if e.state is State.CURRENT}
    with Session(settings, "cli", uuid.uuid4().hex) as session, open_instance(settings) as instance:
        left = left_prompts(unwanted_failures(plan, wanted))
        log = RunLog(session, wanted, left=left, left_out=rows_and_files_left_out(sources))
        with log.written():
            session.ledger.start_run(session.run_id, session.door)
            end_dead_runs(instance, session.ledger)
            with announce_if_slow("Telling Dagster of new and changed prompts"):
                track(instance, sources, [entry.prompt for entry in plan.entries])
            order = instance.get_dynamic_partitions(PARTITIONS_NAME)
            in_trouble = {entry.prompt.id for entry in wanted if entry.met_trouble}
            ranges = partition_ranges(order, {entry.prompt.id for entry in wanted}, passable, last=in_trouble)
            with ProgressReport(len(wanted)) as progress:
                _listen(log, progress, {entry.prompt.id for entry in wanted})
                for number, partitions in enumerate(ranges, 1):
                    MORE_RUNS_FOLLOW.set(number < len(ranges))
                    log.stop = _execute(instance, settings, partitions, config, session.run_id)
                    if log.stop or _stopped(session):
                        break
        return Report.of(settings, plan, wanted, log)


def _listen(log: RunLog, progress: ProgressReport, wanted: Collection[str]) -> None:
    """Have the Dagster runs of this process tell their outcomes; what they only pass over is no matter here."""

    def listen(outcome: Outcome) -> None:
        if outcome.prompt.id in wanted:
            log.record(outcome)
            progress.show(outcome)

    OUTCOME_LISTENER.set(listen)


def _execute(
    instance: dg.DagsterInstance,
    settings: Settings,
    partitions: PartitionRange,
    config: ImagesConfig,
    run_id: str,
) -> Stop | None:
    """One Dagster run. Returns an error that is not a prompt's or the service's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        result = (
            build_defs(settings.home)
            .resolve_job_def("generate_missing_images")
            .execute_in_process(
                instance=instance,
                run_config=dg.RunConfig(ops=images_config(config).ops, loggers=_QUIET),
                tags={**partitions.tags, RUN_TAG: run_id},
                raise_on_error=False,
            )
        )
    for event in result.all_events:
        if event.is_step_failure and (error := event.step_failure_data.error) and error.cls_name != "Failure":
            return Stop("error", f"An unforeseen error: {(error.cause or error).message.strip()}")
    return None


def _stopped(session: Session) -> bool:
    run = session.ledger.run(session.run_id)
    return run is not None and run.stopped_by is not None
