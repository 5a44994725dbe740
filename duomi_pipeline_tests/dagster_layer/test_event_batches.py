"""Events written in batches: the same facts in the event log, in a few transactions."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEventType
from sqlalchemy import event
from sqlalchemy.engine import Engine

from duomi_pipeline.event_batches import report_observations
from duomi_pipeline.event_storage import BatchingEventLogStorage
from duomi_pipeline.partition_runs import IMAGES_KEY
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.tracking import PROMPTS_KEY, observed_versions
from duomi_pipeline_tests.dagster_layer import Project

STORAGE = {"module": "duomi_pipeline.event_storage", "class": "BatchingEventLogStorage"}


@pytest.fixture
def batching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance as the project's `dagster.yaml` makes one."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "batching"))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "100")
    (tmp_path / "batching").mkdir()
    overrides = {"telemetry": {"enabled": False}, "event_log_storage": STORAGE}
    with dg.DagsterInstance.local_temp(str(tmp_path / "batching"), overrides=overrides) as instance:
        yield instance


def test_the_projects_dagster_yaml_names_it_and_it_lies_where_dagsters_own_would(
    batching: dg.DagsterInstance, tmp_path: Path
) -> None:
    text = (Path(__file__).parents[2] / "dagster.yaml").read_text(encoding="utf-8")
    assert "class: BatchingEventLogStorage" in text
    assert isinstance(batching.event_log_storage, BatchingEventLogStorage)
    batching.report_runless_asset_event(dg.AssetObservation("x"))
    assert (tmp_path / "batching/history/runs/index.db").is_file()


def test_without_a_home_the_processes_of_dagster_dev_share_a_folder_that_goes_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "100")
    monkeypatch.setenv("DUOMI_TEMPORARY_EVENTS", "")
    monkeypatch.chdir(tmp_path)
    first = BatchingEventLogStorage.from_config_value(None, {})
    again = BatchingEventLogStorage.from_config_value(None, {})  # as a process that was started by the first one
    assert Path(first.path_for_shard("index")).is_file()
    assert first.path_for_shard("index") == again.path_for_shard("index")
    assert list(tmp_path.iterdir()) == []


def test_a_run_in_batches_leaves_the_same_facts_as_one_event_at_a_time(
    tmp_path: Path, instance: dg.DagsterInstance, service: SandboxServer, batching: dg.DagsterInstance
) -> None:
    facts = []
    for number, storage in enumerate((instance, batching)):
        service.books.reset()
        project = Project(tmp_path / f"home{number}", storage, service)
        keys = project.write_many(5)
        project.look()
        service.change_faults(refuse=("p03",))
        run = project.run(keys[0], keys[-1])
        service.change_faults(refuse=())
        materialized = project.events(run)
        facts.append(
            (
                project.materialized_and_failed(),
                project.staleness(keys),
                {key: sorted(event.tags) for key, event in materialized.items()},
                {key: sorted(event.metadata) for key, event in materialized.items()},
                storage.event_log_storage.get_materialized_partitions(IMAGES_KEY) & set(keys),
                sorted(observed_versions(storage)),
            )
        )
        latest = storage.get_latest_materialization_event(IMAGES_KEY)
        assert latest is not None
        assert latest.asset_materialization is not None
        assert latest.asset_materialization.partition in materialized
    assert facts[0] == facts[1]
    assert facts[0][0] == ({key for key in keys if key != "json_p03"}, {"json_p03"})


def test_a_hundred_observations_are_two_transactions(batching: dg.DagsterInstance) -> None:
    commits: list[object] = []

    def count(connection: object) -> None:
        commits.append(connection)

    event.listen(Engine, "commit", count)
    try:
        report_observations(batching, [dg.AssetObservation(PROMPTS_KEY, partition=f"p{n}") for n in range(100)])
    finally:
        event.remove(Engine, "commit", count)
    assert 2 <= len(commits) <= 4, "the run's database and the index, and making them"
    counts = batching.event_log_storage.get_latest_storage_id_by_partition(
        PROMPTS_KEY, DagsterEventType.ASSET_OBSERVATION, None
    )
    assert len(counts) == 100
    assert len(set(counts.values())) == 100
