"""Synchronise Dagster's partitions with the sources: add, retire, and report new versions of prompts.

What the sources say is in the register: `engine.looking` puts it there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import dagster as dg

from duomi_pipeline.engine.looking import PREFIXES, Looked, registered
from duomi_pipeline.ledger import Ledger, Source, Standing
from duomi_pipeline.ledger.settled import USABLE
from duomi_pipeline.orchestration.event_log.batches import report_events
from duomi_pipeline.orchestration.partition_ranges import keys_in_flight
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.prompts import Prompt

PROMPTS_KEY = dg.AssetKey("prompts")
DATA_VERSION_TAG = "dagster/data_version"
USER_PROVIDED_TAG = "dagster/data_version_is_user_provided"
_MAX_TEXT = 2_000  # characters of a prompt that an event carries
_AT_ONCE = 10_000  # partitions in one call
_FILLED_AT_ONCE = 20_000  # a look of a schedule has a minute; the next one goes on
FEW = 2_000  # up to so many prompts Dagster is asked for by key at once


@dataclass(frozen=True)
class PartitionChanges:
    """What has to change in Dagster.

    Attributes:
        add: ids without a partition yet, in the order of the sources.
        retire: partitions whose row or file is gone.
        observe: prompts that are new or have another version than the last one reported.
        kept: partitions that are to be retired after the runs that work on them.
    """

    add: tuple[str, ...]
    retire: tuple[str, ...]
    observe: tuple[Prompt, ...]
    kept: tuple[str, ...] = ()


def partition_changes(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    existing: Sequence[str],
    looked: Looked,
    since: int | None = None,
) -> PartitionChanges:
    """Compare the register of prompts with what Dagster knows.

    Args:
        instance: of Dagster.
        ledger: with the register.
        existing: partition keys in Dagster.
        looked: the last look; no partition is retired of a source that it could not read.
        since: id of the last look whose changes Dagster has; `None`: all is compared.
    """
    listed, known = ledger.register.standings(since), set(existing)
    versions = {key: version for key, (standing, version) in listed.items() if standing in USABLE}
    gone = {key for key, (standing, _) in listed.items() if standing is Standing.RETIRED}
    if since is None:
        unread = tuple(PREFIXES[source] for source in Source if source not in looked.believed)
        unusable = looked.sources.table.present | looked.sources.files.present
        gone |= {key for key in known - listed.keys() - unusable if not key.startswith(unread)}
    gone &= known
    in_flight = keys_in_flight(instance, existing) if gone else set()
    new, unobserved = versions.keys() - known, _unobserved(instance, versions)
    prompts = registered(ledger, new | unobserved).prompts if new or unobserved else ()
    return PartitionChanges(
        add=tuple(prompt.id for prompt in prompts if prompt.id in new),
        retire=tuple(key for key in existing if key in gone and key not in in_flight),
        observe=tuple(prompt for prompt in prompts if prompt.id in unobserved),
        kept=tuple(gone & in_flight),
    )


def _unobserved(instance: dg.DagsterInstance, versions: Mapping[str, str]) -> set[str]:
    """Those of some prompts that have another version than the last one reported."""
    found: set[str] = set()
    remaining = iter(versions)
    while some := list(islice(remaining, FEW)):  # what Dagster has of all of 100,000 at once takes 80 MB
        observed = observed_versions(instance, some)
        found |= {key for key in some if observed.get(key) != versions[key]}
    return found


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


def fill(instance: dg.DagsterInstance, keys: Sequence[str]) -> None:
    """Report prompts as there that were not reported so yet, one materialization each for good.

    Versions are told by observations alone; of a partition that was only observed Dagster shows that it is not filled.
    """
    known = instance.event_log_storage.get_latest_storage_id_by_partition(
        PROMPTS_KEY, dg.DagsterEventType.ASSET_MATERIALIZATION, set(keys) if len(keys) <= FEW else None
    )
    new = [key for key in keys if key not in known][:_FILLED_AT_ONCE]
    report_events(instance, [dg.AssetMaterialization(PROMPTS_KEY, partition=key) for key in new])


def observe(instance: dg.DagsterInstance, prompts: Sequence[Prompt]) -> None:
    """Report the prompts of one run that have another version than the last one reported."""
    unobserved = _unobserved(instance, {prompt.id: prompt.version for prompt in prompts})
    report_events(instance, [observation(prompt) for prompt in prompts if prompt.id in unobserved])
    fill(instance, [prompt.id for prompt in prompts])


def track(instance: dg.DagsterInstance, ledger: Ledger, looked: Looked) -> PartitionChanges:
    """Bring all partitions and observations up to date; see `partition_changes`."""
    changes = partition_changes(instance, ledger, instance.get_dynamic_partitions(PARTITIONS_NAME), looked)
    add_partitions(instance, changes.add)
    for key in changes.retire:
        instance.delete_dynamic_partition(PARTITIONS_NAME, key)
    report_events(instance, [observation(prompt) for prompt in changes.observe])
    fill(instance, instance.get_dynamic_partitions(PARTITIONS_NAME))
    return changes


def add_partitions(instance: dg.DagsterInstance, ids: Sequence[str]) -> None:
    """Add the partitions of prompts that have none yet, however many; the runs over them report their versions.

    Dagster looks which are new, and asks for all of one call in one statement, which SQLite limits.
    """
    for start in range(0, len(ids), _AT_ONCE):
        instance.add_dynamic_partitions(PARTITIONS_NAME, ids[start : start + _AT_ONCE])
