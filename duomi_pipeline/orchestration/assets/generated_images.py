"""The asset `generated_images`: runs a batch of the engine and logs one event per outcome."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from duomi_pipeline.common.text import counted
from duomi_pipeline.duomi.request import settings_fingerprint
from duomi_pipeline.engine import Outcome, PlannedPrompt, Session, Status, Stop
from duomi_pipeline.engine.signals import stopped_by_signals
from duomi_pipeline.images.contact_sheet import MOST
from duomi_pipeline.ledger import Selection
from duomi_pipeline.orchestration.assets import GROUP, OWNERS, column_schema
from duomi_pipeline.orchestration.assets.choices import with_choice_recorded
from duomi_pipeline.orchestration.assets.events import ImageEvents
from duomi_pipeline.orchestration.assets.failures import failure
from duomi_pipeline.orchestration.assets.images_config import ImagesConfig
from duomi_pipeline.orchestration.assets.results_manifest import leave_manifest, refresh_manifest
from duomi_pipeline.orchestration.assets.run_prompts import prompts_of_run
from duomi_pipeline.orchestration.assets.run_results import run_results
from duomi_pipeline.orchestration.estimates import tell_estimate
from duomi_pipeline.orchestration.event_log.batches import log_events, report_planned
from duomi_pipeline.orchestration.partition_ranges import (
    IMAGES_KEY,
    POOL,
    WAITING,
    active_runs,
    end_dead_runs,
    ledger_run,
)
from duomi_pipeline.orchestration.partitions import prompt_partitions
from duomi_pipeline.orchestration.planned_settings import check_planned, settings_tag
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.orchestration.run_tags import tags_at_end, tags_at_start, trigger_of
from duomi_pipeline.reporting.doubts import named_doubts
from duomi_pipeline.reporting.run_log import RunLog
from duomi_pipeline.settings import Settings

GROUP_SECONDS = 1.0  # outcomes within this time are logged together; one by one each event would cost 10 ms
RECEIPT = "receipt"  # metadata of a failed run
# Columns of the view `generated_images` in `results.db`.
_SCHEMA = column_schema(
    prompt_id="partition key",
    prompt_row_id=("int", "`prompts.id` of a table row"),
    image_id=("int", "`images.id` of a table row"),
    position=("int", "0 for the only or first picture of a prompt"),
    path="the PNG file",
    size="in pixels, WIDTHxHEIGHT",
    model="that drew it",
    seed=("int", "as reported by the service, else as sent"),
    made_at=("timestamp", "when it was saved, UTC"),
)


def build_generated_images(settings: Settings) -> dg.AssetsDefinition:
    """The asset; a new fingerprint of the settings as its `code_version` makes every partition outdated."""

    @dg.asset(
        partitions_def=prompt_partitions,
        code_version=settings_fingerprint(settings, settings.parameters),
        op_tags=settings_tag(settings),
        backfill_policy=dg.BackfillPolicy.multi_run(settings.run_size),
        output_required=False,
        io_manager_key="png_io_manager",
        pool=POOL,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"python", "png"},
        metadata={"dagster/column_schema": _SCHEMA},
    )
    def generated_images(
        context: dg.AssetExecutionContext, config: ImagesConfig, duomi: DuomiResource
    ) -> Iterator[Any]:
        """The picture of one prompt: PNG files in `DUOMI_IMAGE_DIR`, of the delivery size.

        Started by materializing or backfilling partitions, by the sensor `new_prompts`, or by `duomi generate`.
        Each new request costs money; a picture of the very same request is reused at no cost.

        Prompts that nobody has looked for yet are not among the partitions, nor counted as missing: materialize
        `prompt_files` and `prompt_table`, at no cost.
        """
        check_planned(context.instance, context.run, duomi.settings())
        context.instance.add_run_tags(context.run.run_id, tags_at_start(context.run))
        with duomi.session(trigger_of(context.run), ledger_run(context.run)) as session:
            # Before prompts are read and pictures looked at, which takes a while: from now on a death is seen.
            session.ledger.start_run(session.run_id, session.trigger)
            _generate(context, config, duomi, session)
        yield from ()  # a generator without an Output: Dagster then records nothing but the events logged here

    return _of_prompts(generated_images)


def _of_prompts(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The asset with its dependency on `prompts`, but without an input for it.

    Of an input Dagster looks up the versions of a run's partitions before the step starts, and so fails in a run that
    has none. Nothing of that is needed: the events carry the versions themselves.
    """
    attributes = asset.get_attributes_dict()
    specs = [spec.replace_attributes(deps=["prompts"]) for spec in asset.specs]
    return dg.AssetsDefinition(**{**attributes, "specs": specs})


def _generate(context: dg.AssetExecutionContext, config: ImagesConfig, duomi: DuomiResource, session: Session) -> None:
    config = with_choice_recorded(context, config, duomi, session)
    asked = prompts_of_run(context, config, duomi, session)
    if asked.adopted:
        context.log.warning("%s in the folder not known to the ledger: recorded now", counted(asked.adopted, "picture"))
    for doubt in named_doubts(asked.wanted):
        context.log.warning("%s", doubt)
    events = ImageEvents.of(context.instance, session.store, asked.ids, session.settings.currency)
    made_by = session.ledger.purchases({selection.purchase_id for _, selection in asked.kept}) if asked.kept else {}
    log_events(context, events.kept(asked.kept, made_by))

    outcomes: list[Outcome] = []
    started, command = time.monotonic(), duomi.command
    log = RunLog(
        session,
        asked.wanted,
        left=asked.left,
        left_out=asked.left_out,
        force=config.force,
        max_images=config.cap(),
    )
    tell_estimate(context, log.estimate)

    def record(found: Sequence[Outcome]) -> None:
        group = events.shown(found)
        # A run of all prompts may have very many; the contact sheet shows the first ones.
        outcomes.extend(group if len(outcomes) < MOST else [replace(outcome, thumbnail=None) for outcome in group])
        made = [(o, o.selection) for o in group if o.status != Status.FAILED and o.selection]
        log_events(context, [events.made(*one) for one in made], [_when(*one) for one in made])
        for outcome in group:
            log.record(outcome)
            if command is not None:
                command.record(outcome)

    with log.written() if command is None else contextlib.nullcontext():
        for piece in asked.pieces(session.settings.run_size):
            if not asked.are_planned:
                report_planned(context, IMAGES_KEY, [entry.prompt.id for entry in piece])
            log.stop = _buy(config, session, piece, record)
            if log.stop is not None:
                break
    if command is not None:
        command.stop = log.stop
    receipt = log.receipt()
    context.instance.add_run_tags(context.run.run_id, tags_at_end(receipt, outcomes))
    problem = failure(receipt)
    try:
        results = run_results(receipt, outcomes, time.monotonic() - started)
        if _is_left_to_others(context, duomi, session, log.stop):
            leave_manifest(context, results)
        else:
            with command.writing_manifest() if command else contextlib.nullcontext():
                refresh_manifest(context, duomi, session, results)
    except OSError as error:
        # Reported, but failed prompts are the more important failure.
        context.log.exception("The manifest could not be written")
        words = f"The pictures are saved, but the manifest could not be written: {error}"
        problem = problem or dg.Failure(words, allow_retries=False)
        if command is not None:
            command.unwritten = words
    if problem is not None:
        problem.metadata = {**problem.metadata, RECEIPT: dg.MetadataValue.json(receipt.shortened().as_json())}
        raise problem


def _buy(
    config: ImagesConfig,
    session: Session,
    wanted: Sequence[PlannedPrompt],
    record: Callable[[Sequence[Outcome]], None],
) -> Stop | None:
    """Generate prompts and record their outcomes in groups. Returns why it stopped early, if it did."""
    with (
        session.generating(
            wanted,
            config.parameters(),
            force=config.force,
            max_images=config.cap(),
            regenerate_lost=bool(config.regenerate_lost),
        ) as batch,
        stopped_by_signals(batch),
    ):
        for found in batch.groups(GROUP_SECONDS):
            record(found)
    return batch.stop_reason


def _when(outcome: Outcome, selection: Selection) -> float:
    """When a picture was saved by this run, or found, in seconds since 1970."""
    return selection.files[0].saved_at if outcome.status == Status.GENERATED else selection.selected_at


def _is_left_to_others(
    context: dg.AssetExecutionContext, duomi: DuomiResource, session: Session, stop: Stop | None
) -> bool:
    """Whether a later run will write the manifest; its cost grows with the number of all prompts.

    Of runs that end together none may be the last: the sensor `results_after_runs` sees what was left.
    """
    if duomi.command:
        return stop is None and duomi.command.more_runs_follow
    end_dead_runs(context.instance, session.ledger)
    others = [run for run in active_runs(context.instance) if run.run_id != context.run.run_id]
    # What stopped this run will stop those that wait.
    return any(stop is None or run.status not in WAITING for run in others)
