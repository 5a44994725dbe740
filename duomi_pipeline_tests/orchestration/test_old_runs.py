"""Old runs are deleted, and every partition stays what it was: materialized, fresh, with its metadata.

On SQLite always, on PostgreSQL where `TEST_POSTGRES_URL` names a server.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEventType
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.scheduler.instigation import TickStatus

from duomi_pipeline.orchestration.event_log.sqlite import BatchingEventLogStorage
from duomi_pipeline.orchestration.old_runs import NotKeptError, old_runs
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY
from duomi_pipeline.orchestration.partition_sync import observed_versions
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.orchestration.harness import Project

LATER = datetime.now(UTC) + timedelta(days=100)
MANIFEST = dg.AssetKey("results_manifest")


@dataclass(frozen=True)
class Shown:
    """What Dagster shows of the partitions and of the manifest."""

    materialized: Collection[str]
    staleness: Mapping[str, str]
    paths: Mapping[str, object]
    versions: Mapping[str, str]
    manifest: object


@pytest.fixture
def studio(tmp_path: Path, batching: dg.DagsterInstance, service: SandboxServer) -> Project:
    """A project whose instance is made by the `dagster.yaml` of a home."""
    return Project(tmp_path / "home", batching, service)


def shown(project: Project) -> Shown:
    paths = {}
    for key in project.partitions():
        filters = dg.AssetRecordsFilter(asset_key=IMAGES_KEY, asset_partitions=[key])
        for record in project.instance.fetch_materializations(filters, limit=1).records:
            assert record.asset_materialization is not None
            paths[key] = record.asset_materialization.metadata["path"].value
    manifest = project.instance.get_latest_materialization_event(MANIFEST)
    return Shown(
        project.materialized_and_failed()[0],
        project.staleness(project.partitions()),
        paths,
        observed_versions(project.instance),
        manifest and manifest.timestamp,
    )


def runs(project: Project) -> list[str]:
    return [run.run_id for run in project.instance.get_runs()]


def clean(project: Project, now: datetime = LATER) -> int:
    found = old_runs(project.instance, 90, now)
    found.remove()
    return found.count


def test_every_partition_stays_materialized_and_fresh(studio: Project) -> None:
    keys = studio.write_many(4)
    studio.look()
    studio.service.change_faults(refuse=("p03",))
    made = [studio.run(key).run_id for key in (keys[3], *keys[:3])]
    before = shown(studio)
    assert before.staleness == {**dict.fromkeys(keys[:3], "FRESH"), keys[3]: "MISSING"}

    assert clean(studio) == 3

    assert runs(studio) == [made[-1]]
    assert shown(studio) == before
    assert studio.materialized_and_failed() == (set(keys[:3]), {keys[3]})


def test_what_changes_afterwards_is_seen_and_made_as_ever(studio: Project) -> None:
    keys = studio.write_many(3)
    studio.look()
    for key in keys:
        studio.run(key)
    clean(studio)
    studio.write("p00", "another text")
    studio.look()
    assert studio.staleness(keys) == {**dict.fromkeys(keys, "FRESH"), keys[0]: "has a new data version"}
    posts = len(studio.posts())

    studio.run(keys[0], keys[-1])

    assert len(studio.posts()) == posts + 1
    assert studio.staleness(keys) == dict.fromkeys(keys, "FRESH")


def test_of_several_materializations_the_newest_stays(studio: Project) -> None:
    (key,) = studio.write_many(1)
    studio.look()
    for seed in range(4):
        studio.run(key, seed=seed)
    newest = shown(studio).paths[key]

    assert clean(studio) == 3

    storage = studio.instance.event_log_storage
    assert len(studio.instance.fetch_materializations(IMAGES_KEY, limit=10).records) == 1
    assert shown(studio).paths[key] == newest
    kept = studio.instance.get_event_tags_for_asset(IMAGES_KEY)
    assert len(kept) == 1, "the tags of the deleted events are gone"
    planned = storage.get_latest_storage_id_by_partition(IMAGES_KEY, DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    assert list(planned) == [key]


def test_a_young_run_stays(studio: Project) -> None:
    keys = studio.write_many(2)
    studio.look()
    made = [studio.run(key).run_id for key in keys]

    assert clean(studio, datetime.now(UTC) + timedelta(days=89)) == 0
    assert sorted(runs(studio)) == sorted(made)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.QUEUED], ids=str)
def test_an_unfinished_run_stays(studio: Project, status: dg.DagsterRunStatus) -> None:
    keys = studio.write_many(2)
    studio.look()
    studio.start_run(status, {})
    (unfinished,) = runs(studio)
    newest = [studio.run(key).run_id for key in keys][-1]

    assert clean(studio) == 1
    assert set(runs(studio)) == {unfinished, newest}


@pytest.mark.parametrize(("status", "left"), [(BulkActionStatus.REQUESTED, 2), (BulkActionStatus.COMPLETED_SUCCESS, 1)])
def test_runs_of_a_backfill_in_progress_stay(studio: Project, status: BulkActionStatus, left: int) -> None:
    (key,) = studio.write_many(1)
    studio.look()
    studio.instance.add_backfill(
        PartitionBackfill("abc", status=status, from_failure=False, tags={}, backfill_timestamp=0.0, asset_selection=[])
    )
    studio.start_run(dg.DagsterRunStatus.SUCCESS, {"dagster/backfill": "abc"})
    studio.run(key)

    clean(studio)
    assert len(runs(studio)) == left


def test_a_clean_that_was_killed_is_finished_by_the_next(studio: Project) -> None:
    keys = studio.write_many(2)
    studio.look()
    first, last = (studio.run(key).run_id for key in keys)
    before = shown(studio)
    studio.instance.event_log_storage.delete_events(first)

    assert clean(studio) == 1
    assert runs(studio) == [last]
    assert shown(studio) == before


def test_the_databases_become_smaller(studio: Project) -> None:
    storage = studio.instance.event_log_storage
    if not isinstance(storage, BatchingEventLogStorage):
        pytest.skip("PostgreSQL uses the space again by itself")
    keys = studio.write_many(20)
    studio.look()
    for seed in range(5):
        studio.run(keys[0], keys[-1], seed=seed)
    old = runs(studio)[1:]
    index = Path(storage.path_for_shard("index"))
    size = index.stat().st_size

    found = old_runs(studio.instance, 90, LATER)
    databases = [path for run in old for path in index.parent.glob(f"{run}.db*")]
    assert found.bytes >= sum(path.stat().st_size for path in databases) > 0
    found.remove()

    assert index.stat().st_size < size
    assert [path for path in databases if path.exists()] == []
    assert list(Path(studio.instance.storage_directory()).glob(f"{old[0]}/**/*")) == []


def test_the_tags_of_deleted_runs_go_too(studio: Project) -> None:
    (key,) = studio.write_many(1)
    studio.look()
    studio.start_run(dg.DagsterRunStatus.SUCCESS, {"only": "here"})
    studio.run(key)
    assert studio.instance.get_run_tags(tag_keys=["only"]) == [("only", {"here"})]

    clean(studio)
    assert studio.instance.get_run_tags(tag_keys=["only"]) == []


def test_with_dagsters_own_event_log_runs_are_left(project: Project, keys: list[str]) -> None:
    made = runs(project)
    with pytest.raises(NotKeptError):
        old_runs(project.instance, 90, LATER)
    assert runs(project) == made


def test_later_events_have_ids_that_no_deleted_one_had(studio: Project) -> None:
    (key,) = studio.write_many(1)
    studio.look()

    def last_id() -> int:
        records = studio.instance.fetch_run_status_changes(DagsterEventType.RUN_SUCCESS, limit=1).records
        return records[0].storage_id

    for seed in range(3):
        studio.run(key, seed=seed)
    before = last_id()
    clean(studio)
    studio.run(key)
    assert last_id() > before


def test_looks_of_sensors_and_schedules_are_kept_for_days(batching: dg.DagsterInstance) -> None:
    for kind, skipped in ((InstigatorType.SENSOR, 7), (InstigatorType.SCHEDULE, 90)):
        kept = batching.get_tick_retention_settings(kind)
        assert kept == {
            TickStatus.STARTED: -1,
            TickStatus.SKIPPED: skipped,
            TickStatus.SUCCESS: 90,
            TickStatus.FAILURE: 90,
        }
