"""Ranges of partitions, runs in flight, and what both rely on in Dagster."""

import itertools
import random
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from duomi_pipeline.engine import Session
from duomi_pipeline.orchestration.build import build_defs
from duomi_pipeline.orchestration.partition_ranges import (
    MAX_GAP,
    RUN_TAG,
    PartitionRange,
    active_runs,
    keys_in_flight,
    partition_ranges,
)
from duomi_pipeline.orchestration.resources import Command
from duomi_pipeline_tests.orchestration.harness import Project, range_of

ORDER = [f"k{number:03}" for number in range(400)]


def covered(ranges: list[PartitionRange], order: list[str]) -> list[str]:
    return [key for first, last in ranges for key in order[order.index(first) : order.index(last) + 1]]


def _never(_key: str) -> bool:
    return False


class TestRanges:
    @pytest.mark.parametrize("seed", range(60))
    def test_they_cover_what_is_wanted_and_nothing_that_may_not_run(self, seed: int) -> None:
        dice = random.Random(seed)
        order = random.sample(ORDER, k=dice.randint(1, len(ORDER)))
        wanted = {key for key in order if dice.random() < 0.3}
        passable = {key for key in order if key not in wanted and dice.random() < dice.choice([0.0, 0.7, 1.0])}
        run_size = dice.randint(1, 60)

        ranges = partition_ranges(order, wanted, passable.__contains__, run_size)

        runs = [covered([found], order) for found in ranges]
        everything = [key for run in runs for key in run]
        assert wanted <= set(everything) <= wanted | passable
        assert len(everything) == len(set(everything))
        assert all(len(run) <= run_size for run in runs)
        assert all(run[0] in wanted and run[-1] in wanted for run in runs)
        assert [order.index(run[0]) for run in runs] == sorted(order.index(run[0]) for run in runs)
        for one, other in itertools.pairwise(runs):  # two neighbours are not one only where they may not be
            between = order[order.index(one[-1]) + 1 : order.index(other[0])]
            length = order.index(other[0]) - order.index(one[0]) + 1
            assert set(between) - passable or len(between) > MAX_GAP or length > run_size

    def test_scattered_prompts_become_one_range_where_the_gaps_are_current(self) -> None:
        wanted = {ORDER[place] for place in (5, 6, 7, 17, 27)}

        assert partition_ranges(ORDER, wanted, (set(ORDER) - wanted).__contains__, 500) == [("k005", "k027")]
        assert partition_ranges(ORDER, wanted, _never, 500) == [("k005", "k007"), ("k017", "k017"), ("k027", "k027")]

    def test_a_gap_is_crossed_up_to_a_length_that_costs_less_than_a_run(self) -> None:
        near, far = {ORDER[0], ORDER[MAX_GAP + 1]}, {ORDER[0], ORDER[MAX_GAP + 2]}

        assert len(partition_ranges(ORDER, near, ORDER.__contains__, 500)) == 1
        assert len(partition_ranges(ORDER, far, ORDER.__contains__, 500)) == 2

    def test_nothing_wanted_needs_no_run(self) -> None:
        assert partition_ranges(ORDER, (), ORDER.__contains__, 500) == []
        assert partition_ranges([], ["unknown"], _never, 500) == []


class TestInFlight:
    """Which partitions an unfinished run works on, whatever started it."""

    ORDER = ("a", "b", "c", "d")

    @pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
    def test_a_range_is_in_flight_until_its_run_has_ended(self, project: Project, status: str) -> None:
        project.start_run(dg.DagsterRunStatus(status), PartitionRange("b", "c").tags)

        assert keys_in_flight(project.instance, self.ORDER) == {"b", "c"}

    @pytest.mark.parametrize("status", ["SUCCESS", "FAILURE", "CANCELED"])
    def test_an_ended_run_holds_nothing(self, project: Project, status: str) -> None:
        project.start_run(dg.DagsterRunStatus(status), PartitionRange("b", "c").tags)

        assert keys_in_flight(project.instance, self.ORDER) == set()
        assert active_runs(project.instance) == []

    def test_a_run_of_a_single_partition_counts(self, project: Project) -> None:
        project.start_run(dg.DagsterRunStatus.STARTED, {"dagster/partition": "d"})

        assert keys_in_flight(project.instance, self.ORDER) == {"d"}

    def test_a_run_of_other_assets_does_not_count(self, project: Project) -> None:
        project.start_run(dg.DagsterRunStatus.STARTED, PartitionRange("b", "c").tags, asset="prompt_table")

        assert active_runs(project.instance) == []
        assert keys_in_flight(project.instance, self.ORDER) == set()

    def test_a_run_of_the_command_line_counts(self, project: Project) -> None:
        keys = project.write_many(2)
        project.look()
        seen: list[set[str]] = []
        with Session(project.settings()) as session:
            command = Command(session, lambda _: seen.append(keys_in_flight(project.instance, keys)))
            job = build_defs(command=command).resolve_job_def("generate_missing_images")
            project.execute(job, tags={**PartitionRange(*keys).tags, RUN_TAG: session.run_id})

        assert seen == [set(keys), set(keys)]


LETTERS = dg.DynamicPartitionsDefinition(name="letter")
STATUSES = (AssetPartitionStatus.MATERIALIZED, AssetPartitionStatus.FAILED)
DONE, SKIPPED, REFUSED = "abc", "d", "e"


def build_images(*, log_skipped: bool) -> dg.AssetsDefinition:
    """An asset of Dagster's own means alone, with the shape that `generated_images` has."""

    @dg.asset(partitions_def=LETTERS, backfill_policy=dg.BackfillPolicy.multi_run(100), output_required=False)
    def images(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        for key in context.partition_keys:
            if key in DONE or (key in SKIPPED and log_skipped):
                context.log_event(dg.AssetMaterialization("images", partition=key))
        if REFUSED in context.partition_keys:
            raise dg.Failure("e is refused", allow_retries=False)
        yield from ()

    return images


@pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`:dagster.BetaWarning")
class TestDagsterItself:
    """Behaviours 1 to 4 that this project builds on. Where one of these fails, look before upgrading Dagster."""

    def run(self, instance: dg.DagsterInstance, images: dg.AssetsDefinition, last: str) -> dg.ExecuteInProcessResult:
        instance.add_dynamic_partitions("letter", list("abcde"))
        job = dg.Definitions(assets=[images]).resolve_implicit_global_asset_job_def()
        tags = PartitionRange("a", last).tags
        return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)

    def statuses(self, instance: dg.DagsterInstance) -> tuple[set[str], ...]:
        keys = list("abcde")
        found = instance.get_status_by_partition(dg.AssetKey("images"), keys, LETTERS)
        assert found is not None
        return tuple({key for key in keys if found[key] == status} for status in STATUSES)

    def test_1_a_generator_without_outputs_records_only_the_events_it_logs(self, instance: dg.DagsterInstance) -> None:
        run = self.run(instance, build_images(log_skipped=False), last="d")

        assert run.success
        events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        assert [event.dagster_event.partition for event in events if event.dagster_event] == ["a", "b", "c"]

    def test_1_a_body_that_returns_records_every_partition(self, instance: dg.DagsterInstance) -> None:
        @dg.asset(partitions_def=LETTERS, backfill_policy=dg.BackfillPolicy.multi_run(100), output_required=False)
        def images(context: dg.AssetExecutionContext) -> None:
            context.log_event(dg.AssetMaterialization("images", partition="a"))

        run = self.run(instance, images, last="c")

        events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        assert len(events) == 1 + len("abc")  # why the body must be a generator

    def test_2_a_failing_run_leaves_what_it_logged_and_fails_the_rest(self, instance: dg.DagsterInstance) -> None:
        run = self.run(instance, build_images(log_skipped=True), last="e")

        assert not run.success
        assert self.statuses(instance) == ({*DONE, *SKIPPED}, {REFUSED})

    def test_3_a_partition_without_an_event_is_failed_by_a_failing_run(self, instance: dg.DagsterInstance) -> None:
        self.run(instance, build_images(log_skipped=False), last="e")

        assert self.statuses(instance) == (set(DONE), {*SKIPPED, REFUSED})

    def test_4_a_backfill_makes_one_run_per_contiguous_stretch(self, project: Project) -> None:
        keys = project.write_many(12)
        project.look()

        status, runs = project.backfill([keys[place] for place in (2, 3, 4, 7, 10)])

        assert status == "COMPLETED_SUCCESS"
        assert sorted(range_of(run.tags) for run in runs) == [
            (keys[2], keys[4]),
            (keys[7], keys[7]),
            (keys[10], keys[10]),
        ]

    def test_2_a_backfill_ends_with_the_truth_per_partition(self, project: Project) -> None:
        keys = project.write_many(4)
        project.look()
        project.service.change_faults(refuse=("p01",))

        status, _ = project.backfill(keys)

        assert status == "COMPLETED_FAILED"
        assert project.materialized_and_failed() == ({keys[0], keys[2], keys[3]}, {keys[1]})


def test_ranges_of_prompts_that_met_what_may_end_a_run_come_last() -> None:
    order = ["a", "b", "gap", "c", "d", "gap2", "e"]
    found = partition_ranges(order, {"a", "b", "c", "d", "e"}, is_passable=_never, run_size=500, last={"a", "b", "d"})
    assert [(one.first, one.last) for one in found] == [("c", "d"), ("e", "e"), ("a", "b")]
