"""Synchronise Dagster's partitions with the sources: add, retire, and report new versions of prompts.

`partition_changes` decides without Dagster; the other functions read and write Dagster's storage.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from duomi_pipeline.orchestration.event_log.batches import report_observations
from duomi_pipeline.orchestration.partition_ranges import keys_in_flight
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.prompts.sources import Sources

PROMPTS_KEY = dg.AssetKey("prompts")
DATA_VERSION_TAG = "dagster/data_version"
USER_PROVIDED_TAG = "dagster/data_version_is_user_provided"
_MAX_TEXT = 2_000  # characters of a prompt that an event carries
_AT_ONCE = 10_000  # partitions in one call
FEW = 1_000  # up to so many prompts their versions are queried by key, above that all versions are read


@dataclass(frozen=True)
class PartitionChanges:
    """What has to change in Dagster.

    Attributes:
        add: ids without a partition yet, in the order of the sources.
        retire: partitions whose row or file is gone.
        observe: prompts that are new or have another version than the last one reported.
    """

    add: tuple[str, ...]
    retire: tuple[str, ...]
    observe: tuple[Prompt, ...]


def partition_changes(
    sources: Sources, existing: Collection[str], observed: Mapping[str, str], in_flight: Collection[str] = ()
) -> PartitionChanges:
    """Compare the sources with what Dagster knows.

    Args:
        sources: the sources as they are now; a source that could not be read retires nothing.
        existing: partition keys in Dagster.
        observed: the last reported version, by partition key.
        in_flight: keys of unfinished runs; retiring them now would lose their events.
    """
    wanted = {prompt.id for prompt in sources.prompts}
    known = set(existing)
    gone = (key for key in existing if key not in wanted and key not in in_flight and sources.may_retire(key))
    return PartitionChanges(
        add=tuple(prompt.id for prompt in sources.prompts if prompt.id not in known),
        retire=tuple(gone),
        observe=tuple(prompt for prompt in sources.prompts if observed.get(prompt.id) != prompt.version),
    )


def observed_versions(instance: dg.DagsterInstance, keys: Collection[str] | None = None) -> dict[str, str]:
    """The last reported versions of some prompts, or of all, in one query."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        PROMPTS_KEY, dg.DagsterEventType.ASSET_OBSERVATION, [DATA_VERSION_TAG], list(keys) if keys else None
    )
    return {key: found[DATA_VERSION_TAG] for key, found in tags.items() if DATA_VERSION_TAG in found}


def observation(prompt: Prompt) -> dg.AssetObservation:
    """The event that reports a prompt's version."""
    return dg.AssetObservation(
        PROMPTS_KEY,
        partition=prompt.id,
        metadata={"prompt": prompt.text[:_MAX_TEXT], "source": prompt.source, "origin": prompt.origin},
        tags={DATA_VERSION_TAG: prompt.version, USER_PROVIDED_TAG: "true"},
    )


def observe(instance: dg.DagsterInstance, prompts: Sequence[Prompt]) -> None:
    """Report the prompts of one run that have another version than the last one reported."""
    observed = observed_versions(instance, [prompt.id for prompt in prompts]) if prompts else {}
    new = [prompt for prompt in prompts if observed.get(prompt.id) != prompt.version]
    report_observations(instance, [observation(prompt) for prompt in new])


def add_partitions(instance: dg.DagsterInstance, keys: Sequence[str]) -> None:
    """Add partitions, however many: Dagster asks for all of one call in one statement, which SQLite limits."""
    for start in range(0, len(keys), _AT_ONCE):
        instance.add_dynamic_partitions(PARTITIONS_NAME, list(keys[start : start + _AT_ONCE]))


def track(instance: dg.DagsterInstance, sources: Sources, prompts: Iterable[Prompt] | None = None) -> PartitionChanges:
    """Update partitions and observations; with `prompts` only for these, and without retiring any."""
    existing = instance.get_dynamic_partitions(PARTITIONS_NAME)
    only = None if prompts is None else {prompt.id for prompt in prompts}
    observed = observed_versions(instance, only if only and len(only) <= FEW else None)
    changes = partition_changes(sources, existing, observed, keys_in_flight(instance, existing))
    add = [key for key in changes.add if only is None or key in only]
    add_partitions(instance, add)
    retire = changes.retire if prompts is None else ()
    for key in retire:
        instance.delete_dynamic_partition(PARTITIONS_NAME, key)
    observe = tuple(prompt for prompt in changes.observe if only is None or prompt.id in only)
    report_observations(instance, [observation(prompt) for prompt in observe])
    return PartitionChanges(tuple(add), retire, observe)
