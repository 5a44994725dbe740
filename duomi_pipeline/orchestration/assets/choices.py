"""What a person chose for one prompt in the UI: recorded as the prompt's own before the run plans anything."""

import dagster as dg

from duomi_pipeline.engine import Session
from duomi_pipeline.maintenance.choices import ChoiceError, choose, keep, own_parameters, record, with_parameters
from duomi_pipeline.orchestration.assets.images_config import ImagesConfig, refused
from duomi_pipeline.orchestration.partition_ranges import PARTITION, chosen_partitions, ledger_run
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.prompts import Prompt, SourceError
from duomi_pipeline.settings import ParameterOverrides

_BACKFILL = "dagster/backfill"


def with_choice_recorded(
    context: dg.AssetExecutionContext, config: ImagesConfig, duomi: DuomiResource, session: Session
) -> ImagesConfig:
    """The config of a run once what it says about its one prompt is recorded as the prompt's own.

    A version to keep becomes the present one; the run then finds it current. Parameters of a forced run on a partition
    that a person chose are recorded before the picture is bought, as rerolls do.

    Raises:
        dg.Failure: it cannot be chosen, or not be recorded; nothing was sent.
    """
    parameters = config.parameters()
    is_asked_for = config.force and bool(parameters.explicit()) and _is_of_chosen_partition(context.run)
    if config.keep is None and not is_asked_for:
        return config
    keys = chosen_partitions(context)
    if keys is None:
        raise refused("`keep` is for a run of one partition: choose it")
    prompts = duomi.registered(session, context.instance, keys).prompts
    if len(prompts) != 1:
        raise refused(f"`keep` is for a run of one partition with a prompt, not of {len(keys)}")
    try:
        own = _record(session, prompts[0], parameters, config.keep)
    except (ChoiceError, SourceError) as error:
        raise refused(str(error)) from error
    duomi.look(session, ())
    for prompt in duomi.registered(session, context.instance, keys).prompts:
        if with_parameters(prompt, own).version != prompt.version:
            raise refused(
                f"The choice was recorded in {session.settings.overrides_file} of this machine, which does not read "
                "the prompt's source. Use `duomi keep` or `duomi generate --force` where the sources are looked at"
            )
    left = dict.fromkeys(ParameterOverrides.model_fields)
    return config.model_copy(update=left if config.keep is None else {**left, "force": False, "max_images": 0})


def _record(
    session: Session, prompt: Prompt, parameters: ParameterOverrides, version: str | None
) -> ParameterOverrides:
    """Record the choice; returns the parameters that are the prompt's own from now on."""
    if version is not None:
        choice = choose(session, prompt, version)
        keep(session, [choice])
        return choice.parameters
    record(session.settings, own_parameters(session.settings, session.plan([prompt]).entries, parameters))
    return parameters


def _is_of_chosen_partition(run: dg.DagsterRun) -> bool:
    """Whether a person chose one partition: runs of commands and the sensor have ranges, those of backfills a tag."""
    return PARTITION in run.tags and _BACKFILL not in run.tags and ledger_run(run) == run.run_id
