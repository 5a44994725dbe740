"""Which prompts an image run is about: those of its partitions, or, without any, what `duomi generate` would take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from duomi_pipeline.duomi import ErrorClass
from duomi_pipeline.engine import Plan, PlannedPrompt, Session, State
from duomi_pipeline.engine.looking import why_unusable
from duomi_pipeline.ledger import Selection
from duomi_pipeline.orchestration.assets.images_config import ImagesConfig, refused
from duomi_pipeline.orchestration.partition_ranges import chosen_partitions
from duomi_pipeline.orchestration.partition_sync import observe, track
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.reporting.receipt import FailedPrompt, left_prompts
from duomi_pipeline.reporting.run_log import rows_and_files_left_out

_MAX_NAMED = 50


@dataclass(frozen=True)
class RunPrompts:
    """The prompts of one run.

    Attributes:
        wanted: those that it generates, or finds current.
        kept: those of its partitions that it leaves as they are, with their pictures.
        left: failures without an outcome: prompts that it leaves without a picture, and partitions without a prompt.
        left_out: how many rows and files give no prompt.
        are_planned: whether Dagster knows which partitions the run is about.
        adopted: pictures in the folder that were added to the ledger.
    """

    wanted: Sequence[PlannedPrompt]
    kept: Sequence[tuple[PlannedPrompt, Selection]]
    left: Sequence[FailedPrompt]
    left_out: int
    are_planned: bool
    adopted: int

    @property
    def ids(self) -> list[str]:
        """The ids of all prompts of which the run logs an event."""
        return [entry.prompt.id for entry in (*self.wanted, *(entry for entry, _ in self.kept))]

    def pieces(self, size: int) -> list[Sequence[PlannedPrompt]]:
        """The wanted prompts, at most so many at once; those whose error may stop the run come last."""
        if self.are_planned:
            return [self.wanted]
        ordered = sorted(self.wanted, key=lambda entry: entry.is_suspect)
        return [ordered[start : start + size] for start in range(0, len(ordered), size)] or [()]


def prompts_of_run(
    context: dg.AssetExecutionContext, config: ImagesConfig, duomi: DuomiResource, session: Session
) -> RunPrompts:
    """Plan a run, and report to Dagster which versions its prompts have."""
    keys = chosen_partitions(context)
    return _of_all(context, config, duomi, session) if keys is None else _of(keys, context, config, duomi, session)


def _of(
    keys: list[str], context: dg.AssetExecutionContext, config: ImagesConfig, duomi: DuomiResource, session: Session
) -> RunPrompts:
    sources = duomi.registered(session, context.instance, keys)
    here = sources.prompts
    observe(context.instance, here)
    plan = session.plan(here, config.parameters())
    states = config.wanted_states(context.run.job_name, has_partitions=True) | {State.CURRENT}
    wanted = [taken for entry in plan.entries if (taken := entry.chosen(states))]
    kept, left = _others(plan, wanted)
    unknown = why_unusable(session.ledger, sorted(set(keys) - {prompt.id for prompt in here}))
    left_out = rows_and_files_left_out(sources)
    return RunPrompts(wanted, kept, _not_tried(left, unknown), left_out, are_planned=True, adopted=plan.adopted)


def _of_all(
    context: dg.AssetExecutionContext, config: ImagesConfig, duomi: DuomiResource, session: Session
) -> RunPrompts:
    """Look at the sources, and take what is to be done; nothing of it was chosen by name.

    Raises:
        dg.Failure: the config says what is for chosen partitions; nothing was sent.
    """
    if config.force:
        raise refused("`force` is for chosen partitions: choose them")
    looked = duomi.look(session, context.instance.get_dynamic_partitions(PARTITIONS_NAME))
    for problem in looked.problems[:_MAX_NAMED]:
        context.log.warning("Left out: %s", problem)
    track(context.instance, session.ledger, looked)
    plan = session.plan_registered(config.parameters(), looked.believed)
    wanted = plan.wanted(config.wanted_states(context.run.job_name, has_partitions=False))
    left = left_prompts(plan.left_without_picture(wanted))
    left_out = rows_and_files_left_out(looked.sources)
    return RunPrompts(wanted, (), left, left_out, are_planned=False, adopted=plan.adopted)


def _others(
    plan: Plan, wanted: Sequence[PlannedPrompt]
) -> tuple[list[tuple[PlannedPrompt, Selection]], list[PlannedPrompt]]:
    """The prompts that a run leaves: with and without a picture."""
    chosen, has_picture = {entry.prompt.id for entry in wanted}, (State.OUTDATED, State.CHANGED)
    others = [entry for entry in plan.entries if entry.prompt.id not in chosen]
    kept = [(e, e.selection) for e in others if e.state in has_picture and e.selection is not None]
    return kept, [entry for entry in others if entry.state not in has_picture]


def _not_tried(left: Sequence[PlannedPrompt], unknown: Mapping[str, str]) -> list[FailedPrompt]:
    absent = (FailedPrompt(key, ErrorClass.ABSENT.value, "", reason) for key, reason in unknown.items())
    return [*left_prompts(left), *absent]
