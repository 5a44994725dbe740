"""Cover wanted partitions with few contiguous ranges, one per run, and find the image runs that are active.

Which prompts are wanted is decided in `engine.plan`; the runs are started in `sensors` and by the command line.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import dagster as dg

from duomi_pipeline.ledger import Ledger, Life

# The ledger's run id of a command; all Dagster runs of the command share its caps. Dagster's list of runs hides tags of
# this prefix: an id says nothing there.
RUN_TAG = ".dagster/duomi_run"
_SHOWN_RUN_TAG = "duomi/run"  # of versions up to 0.1
IMAGES_KEY = dg.AssetKey("generated_images")
POOL = "duomi_api"  # its limit is how many image runs work at a time
MAX_GAP = 20  # partitions with a current picture that a range may include: each costs an event, a run costs seconds
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
_WITHOUT_PICTURES = {"write_results", "check_results"}  # jobs
WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
_UNFINISHED = [
    *WAITING,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class PartitionRange(NamedTuple):
    """A contiguous range of partitions in Dagster's order."""

    first: str
    last: str

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of a run over this range."""
        return {RANGE_START: self.first, RANGE_END: self.last}


def partition_ranges(
    order: Sequence[str],
    wanted: Collection[str],
    is_passable: Callable[[str], bool],
    run_size: int,
    *,
    last: Collection[str] = (),
) -> list[PartitionRange]:
    """Cover the wanted partitions with few ranges.

    Args:
        order: all partitions, in Dagster's order.
        wanted: those to run.
        is_passable: whether a range may include one that is not wanted: its picture is current. Asked of those
            between wanted ones that are near each other, for to know it of all costs more than all the rest.
        run_size: most partitions of one run.
        last: those whose ranges come last, because their error may stop the run.
    """
    stretches: list[list[int]] = []  # each: first place, last place
    wanted, eager = set(wanted), set(wanted) - set(last)
    for place in (place for place, key in enumerate(order) if key in wanted):
        begin, end = stretches[-1] if stretches else (place, place)
        near = place - end <= MAX_GAP + 1 and place - begin < run_size
        if stretches and near and all(map(is_passable, order[end + 1 : place])):
            stretches[-1][1] = place
        else:
            stretches.append([place, place])
    stretches.sort(key=lambda stretch: eager.isdisjoint(order[stretch[0] : stretch[1] + 1]))
    return [PartitionRange(order[begin], order[end]) for begin, end in stretches]


def active_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that generate pictures and are queued or running."""
    return [run for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)) if makes_pictures(run)]


def makes_pictures(run: dg.DagsterRun) -> bool:
    """Whether a run generates pictures. A run of a whole job has no selection; one that only checks selects checks."""
    if run.asset_selection:
        return IMAGES_KEY in run.asset_selection
    return not run.asset_check_selection and run.job_name not in _WITHOUT_PICTURES


def chosen_partitions(context: dg.AssetExecutionContext) -> list[str] | None:
    """The partitions that a run was started with, in Dagster's order; `None` if it was started without any."""
    return list(context.partition_keys) if context.has_partition_key or context.has_partition_key_range else None


def ledger_run(run: dg.DagsterRun) -> str:
    """The run id in the ledger: that of the command that started the run, else its own id.

    A re-executed run has the tags of the first run, but its own id counts.
    """
    command = run.tags.get(RUN_TAG, run.tags.get(_SHOWN_RUN_TAG)) if run.parent_run_id is None else None
    return command or run.run_id


def end_dead_runs(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    """Report image runs whose process is dead as failed.

    Dagster's daemon monitors none of a command, and others only with some launchers: they would stay active for ever.
    """
    for run in active_runs(instance):
        if ledger.life(ledger_run(run)) is Life.DEAD:
            instance.report_run_failed(
                run, "The process of this run is gone. Start again: nothing paid is bought twice."
            )


def keys_in_flight(instance: dg.DagsterInstance, order: Sequence[str]) -> set[str]:
    """Partition keys of all unfinished runs; a run that was started without partitions may be about any."""
    place = {key: index for index, key in enumerate(order)}
    found: set[str] = set()
    for run in active_runs(instance):
        first = run.tags.get(RANGE_START) or run.tags.get(PARTITION)
        last = run.tags.get(RANGE_END) or first
        if first is None:
            return set(order)
        if first in place and last in place:
            found.update(order[place[first] : place[last] + 1])
    return found
