"""Dagster runs in this process, one per range of partitions: what the command line did, the UI shows."""

import os
import uuid
import warnings
from collections.abc import Collection

import dagster as dg

from duomi_pipeline.assets.generated_images import OUTCOME_LISTENER, ImagesConfig
from duomi_pipeline.cli.home import prepare_dagster_home
from duomi_pipeline.cli.progress import ProgressReport
from duomi_pipeline.cli.report import Report
from duomi_pipeline.definitions import build_defs
from duomi_pipeline.engine import Outcome, Plan, PlannedPrompt, Session, State
from duomi_pipeline.jobs import images_config
from duomi_pipeline.partition_runs import RUN_TAG, PartitionRange, end_dead_runs, partition_ranges
from duomi_pipeline.partitions import PARTITIONS_NAME
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.settings import Parameters, Settings
from duomi_pipeline.tracking import track

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
    os.environ["DAGSTER_HOME"] = str(prepare_dagster_home(settings))
    config = ImagesConfig(
        **parameters.said(),
        force=force,
        max_images=max_images,
        states=sorted(state.value for state in states),
    )
    run_id, outcomes, error = uuid.uuid4().hex, [], None
    passable = set() if force else {e.prompt.id for e in plan.entries if e.state is State.CURRENT}
    ids = {entry.prompt.id for entry in wanted}
    with dg.DagsterInstance.get() as instance, ProgressReport(len(wanted)) as progress:

        def listen(outcome: Outcome) -> None:
            if outcome.prompt.id in ids:
                outcomes.append(outcome)
                progress.show(outcome)

        OUTCOME_LISTENER.set(listen)
        with Session(settings) as session:
            session.ledger.start_run(run_id, "cli")
            end_dead_runs(instance, session.ledger)
        track(instance, sources, [entry.prompt for entry in plan.entries])
        order = instance.get_dynamic_partitions(PARTITIONS_NAME)
        for partitions in partition_ranges(order, ids, passable):
            error = _execute(instance, settings, partitions, config, run_id)
            if error or _stopped(settings, run_id):
                break
    return Report.of(settings, plan, wanted, outcomes, run_id, error)


def _execute(
    instance: dg.DagsterInstance,
    settings: Settings,
    partitions: PartitionRange,
    config: ImagesConfig,
    run_id: str,
) -> str | None:
    """One Dagster run. Returns the text of an error that is not a prompt's or the service's."""
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
            return f"An unforeseen error: {(error.cause or error).message.strip()}"
    return None


def _stopped(settings: Settings, run_id: str) -> bool:
    with Session(settings) as session:
        run = session.ledger.run(run_id)
    return run is not None and run.stopped_by is not None
