"""The sensor `new_prompts` and the schedule `catch_up`. Both spend money and are off until the user turns them on.

The sensor `results_after_runs` costs nothing and is on. That for failed runs is in `alerts`.
"""

import time
from collections.abc import Sequence

import dagster as dg

from duomi_pipeline.common.text import counted
from duomi_pipeline.engine import Plan, Session
from duomi_pipeline.engine.looking import Looked
from duomi_pipeline.ledger import Ledger, Standing
from duomi_pipeline.orchestration.assets.images_config import MISSING_AND_FAILED_FOR_NOW, ImagesConfig
from duomi_pipeline.orchestration.assets.prompt_states import report_states
from duomi_pipeline.orchestration.assets.results_manifest import MANIFEST_KEY, left_to_write
from duomi_pipeline.orchestration.checks import picture_checks, prompts_healthy, sources_seen
from duomi_pipeline.orchestration.estimates import estimate_runs, tell_estimate
from duomi_pipeline.orchestration.jobs import (
    NEW_PROMPTS_FIRST,
    generate_missing_images,
    images_config,
    write_results,
)
from duomi_pipeline.orchestration.partition_ranges import (
    IMAGES_KEY,
    active_runs,
    end_dead_runs,
    keys_in_flight,
    ledger_run,
    partition_ranges,
)
from duomi_pipeline.orchestration.partition_sync import PartitionChanges, observation, partition_changes, track
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME, prompt_partitions
from duomi_pipeline.orchestration.planned_settings import changed_settings
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.orchestration.skip_reasons import not_read, nothing_to_generate, waiting_after_stop
from duomi_pipeline.prompts.marks import mark_of
from duomi_pipeline.reporting.doubts import named_doubts
from duomi_pipeline.settings import Settings, SettingsError

INTERVAL = 30  # seconds between two ticks
STOPPED_PAUSE = 900.0  # seconds without new runs after a run was stopped by the service, a cap or the user
MAX_NEW = 2_000  # prompts that one tick reports to Dagster; the next tick continues, so that no tick takes too long
MAX_RUNS = 5  # runs of the sensor at a time: if the service stops one, each run after it still sends a request
_MAX_NAMED = 50
HAS_PARTITION = set(Standing) - {Standing.RETIRED}
_UNUSABLE = (dg.Failure, SettingsError)  # shown as a message, not as a traceback on every tick


@dg.sensor(
    job=generate_missing_images,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Looks for new, changed and retired prompts in both sources, and generates what is missing. "
    'Why a look requested no run: click its "0 runs requested" in the column Result.',
)
def new_prompts(context: dg.SensorEvaluationContext, duomi: DuomiResource) -> dg.SensorResult:
    """Read both sources, update the partitions, and request runs for what is missing, in one tick."""
    try:
        return _evaluate(context, duomi)
    except _UNUSABLE as error:
        return dg.SensorResult(skip_reason=_why(error))


def _evaluate(context: dg.SensorEvaluationContext, duomi: DuomiResource) -> dg.SensorResult:
    instance = context.instance
    existing = list(instance.get_dynamic_partitions(PARTITIONS_NAME))
    with duomi.session() as session:
        looked = duomi.look(session, existing)
        _warn_of(context, looked)
        end_dead_runs(instance, session.ledger)
        mark = session.ledger.mark()
        since = _since(context.cursor, session.ledger, existing)
        changes = partition_changes(instance, session.ledger, existing, looked, since)
        retired = set(changes.retire)
        order = [key for key in existing if key not in retired] + list(changes.add[:MAX_NEW])
        plan = session.plan_registered(sources=looked.believed)
        requests, waiting = _requests(context, session, plan, order)
        if requests:
            tell_estimate(context, estimate_runs(session, plan, requests, order, MISSING_AND_FAILED_FOR_NOW))
        if not looked.doubts and not looked.sources.unreadable:  # else the plan is not of all prompts
            report_states(instance, session, plan)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(f"{waiting} {not_read(looked)}".strip()),
        dynamic_partitions_requests=_partition_requests(changes.add[:MAX_NEW], changes.retire),
        asset_events=[observation(prompt) for prompt in changes.observe[:MAX_NEW]],
        cursor=context.cursor if _is_more(changes) else _cursor(mark.look_id, mark.looked_at, order),
    )


def _cursor(look_id: int, looked_at: float, partitions: Sequence[str]) -> str:
    """The look up to which Dagster has all changes, with a mark of it and of the partitions that it has then."""
    return f"{look_id} {mark_of(looked_at, *partitions)}"


def _since(cursor: str | None, ledger: Ledger, existing: Sequence[str]) -> int | None:
    """The look up to which Dagster has all changes; `None` if that is not known, or its partitions are others."""
    counts = ledger.register.holdings().counts.values()
    partitions = sum(count[standing] for count in counts for standing in HAS_PARTITION)
    look = (cursor or "").partition(" ")[0]
    if not look.isdecimal() or partitions != len(existing):
        return None
    # Another time: the ledger is an older one, restored, and has seen as many looks since.
    return int(look) if cursor == _cursor(int(look), ledger.register.looked_at(int(look)), existing) else None


def _is_more(changes: PartitionChanges) -> bool:
    """Whether the next tick has to look at these changes again."""
    return bool(changes.kept) or max(len(changes.add), len(changes.observe)) > MAX_NEW


def _warn_of(context: dg.SensorEvaluationContext, looked: Looked) -> None:
    problems = looked.problems
    for problem in problems[:_MAX_NAMED]:
        context.log.warning("Left out: %s", problem)
    if len(problems) > _MAX_NAMED:
        context.log.warning("… and %d more; the manifest's left_out.json has all", len(problems) - _MAX_NAMED)


@dg.sensor(
    job=write_results,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes manifest and gallery once the last of several image runs has ended. Costs nothing. "
    "A single run writes its manifest itself, and leaves the gallery as it is.",
)
def results_after_runs(context: dg.SensorEvaluationContext, duomi: DuomiResource) -> dg.RunRequest | dg.SkipReason:
    """One run for everything that image runs left to others, when none works any more."""
    left = left_to_write(context.instance)
    if left is None:
        return dg.SkipReason("The manifest has every image run; a gallery that is older: materialize `gallery`.")
    try:
        with duomi.session() as session:
            end_dead_runs(context.instance, session.ledger)
    except _UNUSABLE as error:
        return _why(error)
    if active := active_runs(context.instance):
        return dg.SkipReason(f"Waiting for the end of {counted(len(active), 'image run')}.")
    return dg.RunRequest(run_key=f"after event {left}")


@dg.schedule(
    cron_schedule="0 6 * * *",
    target=dg.AssetSelection.assets(IMAGES_KEY, MANIFEST_KEY) | dg.AssetSelection.all_asset_checks(),
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Once a day: retries what is missing or failed for now, and renews the manifest and all checks.",
)
def catch_up(context: dg.ScheduleEvaluationContext, duomi: DuomiResource) -> list[dg.RunRequest] | dg.SkipReason:
    """Image runs for what is missing or failed for now, and one run that writes the manifest and runs all checks."""
    try:
        with duomi.session() as session:
            end_dead_runs(context.instance, session.ledger)
            if active_runs(context.instance):
                return dg.SkipReason("An image run is active.")
            looked = duomi.look(session, context.instance.get_dynamic_partitions(PARTITIONS_NAME))
            track(context.instance, session.ledger, looked)
            plan, settings = session.plan_registered(sources=looked.believed), session.settings
    except _UNUSABLE as error:
        return _why(error)
    if plan.stop:
        return dg.SkipReason(f"{plan.stop.message} {plan.stop.advice}")
    if reload := _needs_reload(context.repository_def, settings):
        return dg.SkipReason(reload)
    order = list(context.instance.get_dynamic_partitions(PARTITIONS_NAME))
    when = context.scheduled_execution_time.isoformat()
    wanted = plan.wanted(MISSING_AND_FAILED_FOR_NOW)
    for line in named_doubts(wanted):
        context.log.warning("%s", line)
    runs = _image_runs(plan, order, settings.run_size, {entry.prompt.id for entry in wanted}, when)
    manifest_run = dg.RunRequest(
        run_key=f"{when} manifest and checks",
        asset_selection=[MANIFEST_KEY],
        asset_check_keys=[*prompts_healthy.check_keys, *sources_seen.check_keys, *picture_checks.check_keys],
    )
    return [*runs, manifest_run]


def _requests(
    context: dg.SensorEvaluationContext, session: Session, plan: Plan, order: Sequence[str]
) -> tuple[list[dg.RunRequest], str]:
    """The runs to start now, and why there are none. Prompts of active runs are theirs; of a command's all may be.

    Texts that may describe no picture are named in the tick's log, as a command names them on the terminal.
    """
    now, instance = time.time(), context.instance
    if plan.stop:
        return [], f"{plan.stop.message} {plan.stop.advice}"
    due = {e.prompt.id: e for e in plan.wanted(MISSING_AND_FAILED_FOR_NOW) if e.is_due(now)}
    if not due:
        return [], nothing_to_generate(plan, now)
    active = active_runs(instance)
    wanted, room = due.keys() - keys_in_flight(instance, order), MAX_RUNS - sum(_is_own(run) for run in active)
    if not wanted or room < 1 or any(ledger_run(run) != run.run_id for run in active):
        return [], f"{counted(len(due), 'prompt')} waiting for the end of active image runs."
    last = session.ledger.last_result()
    # Where clocks differ, its end may lie ahead; one that was set back must not make this wait for as long.
    if last and last.stopped_by and abs(now - (last.ended_at or 0)) < STOPPED_PAUSE:
        return [], waiting_after_stop(len(wanted), last.message, (last.ended_at or 0) + STOPPED_PAUSE)
    if reload := _needs_reload(context.repository_def, session.settings):
        return [], reload
    for line in named_doubts(entry for key, entry in due.items() if key in wanted):
        context.log.warning("%s", line)
    return _image_runs(plan, order, session.settings.run_size, wanted)[:room], ""


def _why(error: dg.Failure | SettingsError) -> dg.SkipReason:
    return dg.SkipReason(error.description if isinstance(error, dg.Failure) else str(error))


def _is_own(run: dg.DagsterRun) -> bool:
    return "dagster/sensor_name" in run.tags


def _needs_reload(repository: dg.RepositoryDefinition | None, settings: Settings) -> str | None:
    """Why runs that are planned now would fail."""
    if repository is None:
        return None
    changed = changed_settings(repository.assets_defs_by_key[IMAGES_KEY].op.tags, settings)
    return changed and f"Reload the code location (Deployment, Reload): changed since it was loaded: {changed}."


def _image_runs(
    plan: Plan, order: Sequence[str], run_size: int, wanted: set[str], when: str | None = None
) -> list[dg.RunRequest]:
    """Runs over the wanted prompts.

    Args:
        when: time of the schedule's tick, for the run keys; `None` for a sensor.
    """
    config = images_config(ImagesConfig(states=sorted(state.value for state in MISSING_AND_FAILED_FOR_NOW)))
    suspects = {entry.prompt.id for entry in plan.entries if entry.is_suspect}
    ranges = partition_ranges(order, wanted, plan.is_current, run_size, last=suspects)
    return [
        dg.RunRequest(
            run_key=when and f"{when} {found.first}",
            asset_selection=[IMAGES_KEY],
            asset_check_keys=[],
            run_config=config,
            tags={**found.tags, **NEW_PROMPTS_FIRST},
        )
        for found in ranges[:MAX_RUNS]
    ]


def _partition_requests(
    add: Sequence[str], retire: Sequence[str]
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if add:
        requests.append(prompt_partitions.build_add_request(list(add)))
    if retire:
        requests.append(prompt_partitions.build_delete_request(list(retire)))
    return requests
