"""Events written in batches: the same facts in the event log, in a few transactions.

On SQLite always, on PostgreSQL where `TEST_POSTGRES_URL` names a server.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType
from dagster._core.storage.event_log import SqliteEventLogStorage, sql_event_log
from dagster._core.storage.event_log.schema import DynamicPartitionsTable, SqlEventLogStorageTable
from dagster._serdes import deserialize_value, serialize_value
from sqlalchemy import Connection, event, select, text
from sqlalchemy.engine import Engine

from duomi_pipeline.orchestration.checks import picture_checks
from duomi_pipeline.orchestration.event_log.batches import report_events
from duomi_pipeline.orchestration.event_log.postgres import BatchingPostgresEventLogStorage
from duomi_pipeline.orchestration.event_log.sqlite import BatchingEventLogStorage, EventBatches, index_kept_open
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY, PartitionRange
from duomi_pipeline.orchestration.partition_sync import DATA_VERSION_TAG, PROMPTS_KEY, observed_versions
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.orchestration.harness import Project


@contextmanager
def transactions() -> Iterator[list[str]]:
    """Collects each commit, and each statement that is a transaction of its own."""
    found: list[str] = []

    def committed(_connection: object) -> None:
        found.append("commit")

    def executed(_connection: object, cursor: Any, statement: str, *_more: object) -> None:
        if getattr(cursor.connection, "autocommit", None) is True:
            found.append(statement)

    event.listen(Engine, "commit", committed)
    event.listen(Engine, "before_cursor_execute", executed)
    try:
        yield found
    finally:
        event.remove(Engine, "commit", committed)
        event.remove(Engine, "before_cursor_execute", executed)


def test_the_storage_is_the_one_that_dagster_yaml_names_and_sqlite_lies_where_dagsters_own_would(
    batching: dg.DagsterInstance, tmp_path: Path
) -> None:
    storage = batching.event_log_storage
    assert isinstance(storage, EventBatches)
    batching.report_runless_asset_event(dg.AssetObservation("x"))
    on_sqlite = (tmp_path / "batching/history/runs/index.db").is_file()
    assert isinstance(storage, BatchingEventLogStorage if on_sqlite else BatchingPostgresEventLogStorage)


def test_without_a_home_the_processes_of_dagster_dev_share_a_folder_that_goes_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "100")
    monkeypatch.setenv("DUOMI_TEMPORARY_HISTORY", "")
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


def some_events(count: int) -> list[dg.AssetMaterialization | dg.AssetObservation]:
    """Materializations and observations with all that one can have, with a part of it, and with nothing."""

    def metadata(number: int) -> dict[str, Any]:
        column = dg.TableColumn("ä", "int", description=f"{number}")
        kinds = {
            "text": f'"{number}"\n\\ 图 é \U0001f600',
            "int": number,
            "float": number / 7,
            "bool": number % 2 == 0,
            "null": None,
            "markdown": dg.MetadataValue.md(f"![{number}](data:image/webp;base64,AAAA)"),
            "path": dg.MetadataValue.path(f"/tmp/{number}"),
            "url": dg.MetadataValue.url(f"https://example.com/{number}"),
            "json": dg.MetadataValue.json({"b": [number, None, 0.1], "a": {"z": "ü", "y": True}}),
            "time": dg.MetadataValue.timestamp(1e9 + number),
            "asset": dg.MetadataValue.asset(dg.AssetKey(["a", f"{number}"])),
            "run": dg.MetadataValue.dagster_run(f"{number}"),
            "schema": dg.MetadataValue.table_schema(dg.TableSchema([column])),
            "table": dg.MetadataValue.table([dg.TableRecord({"ä": number})], dg.TableSchema([column])),
        }
        return dict(list(kinds.items())[: number % 7 * 3])  # of every seventh none

    return [
        kind(
            asset,
            partition=f"p{number}" if number % 5 else None,
            description="described" if number % 11 == 0 else None,
            metadata=metadata(number),
            tags={DATA_VERSION_TAG: f"{number}", "more": "x"} if number % 3 else None,
        )
        for kind in (dg.AssetMaterialization, dg.AssetObservation)
        for asset in ("one", "two")
        for number in range(count)
    ]


def stored(instance: dg.DagsterInstance) -> list[dict[str, Any]]:
    """The rows of all events, in their order."""
    storage = instance.event_log_storage
    assert isinstance(storage, EventBatches)
    with storage.index_connection() as connection:
        found = connection.execute(select(SqlEventLogStorageTable).order_by(SqlEventLogStorageTable.c.id)).mappings()
        return [{name: value for name, value in row.items() if name != "id"} for row in found]


def test_events_of_a_batch_are_written_letter_by_letter_as_dagster_writes_them(batching: dg.DagsterInstance) -> None:
    events = some_events(50)

    report_events(batching, events)

    rows = stored(batching)
    entries = [deserialize_value(row["event"], dg.EventLogEntry) for row in rows]
    assert [entry.asset_materialization or entry.asset_observation for entry in entries] == events
    assert [row["event"] for row in rows] == [serialize_value(entry) for entry in entries]
    storage = batching.event_log_storage
    assert isinstance(storage, EventBatches)
    assert rows == [storage._event_to_row(entry) for entry in entries]


@contextmanager
def serialized_by_dagster(monkeypatch: pytest.MonkeyPatch, **how: Any) -> Iterator[list[Any]]:
    """Collects the values that Dagster's event log serializes."""
    found: list[Any] = []

    def counted(value: Any) -> str:
        found.append(value)
        return serialize_value(value, **how)

    with monkeypatch.context() as patched:
        patched.setattr(sql_event_log, "serialize_value", counted)
        yield found


def test_dagster_serializes_the_first_event_of_a_kind_alone(
    tmp_path: Path, batching: dg.DagsterInstance, service: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "home", batching, service)
    project.write_many(20)
    project.look()
    keys = project.partitions()
    with serialized_by_dagster(monkeypatch) as found:
        run = project.run(keys[0], keys[-1])

    entries = [entry for entry in found if isinstance(entry, dg.EventLogEntry)]
    per_picture = [entry for entry in entries if entry.dagster_event and entry.dagster_event.partition]
    assert len(project.events(run)) == len(keys)
    assert len(per_picture) <= 4, "the plan, the observations, and a few groups of pictures"
    assert [row["event"] for row in stored(batching)] == [
        serialize_value(deserialize_value(row["event"], dg.EventLogEntry)) for row in stored(batching)
    ]


def test_what_dagster_writes_in_another_format_it_writes_itself(
    batching: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = some_events(8)

    with serialized_by_dagster(monkeypatch, indent=1):
        report_events(batching, events)

    rows = [row["event"] for row in stored(batching)]
    entries = [deserialize_value(row, dg.EventLogEntry) for row in rows]
    assert [entry.asset_materialization or entry.asset_observation for entry in entries] == events
    assert rows == [serialize_value(entry, indent=1) for entry in entries]


def test_a_hundred_observations_are_few_transactions(batching: dg.DagsterInstance) -> None:
    versions = {f"p{number}": f"version {number}" for number in range(100)}
    with transactions() as found:
        report_events(
            batching,
            [
                dg.AssetObservation(PROMPTS_KEY, partition=key, tags={DATA_VERSION_TAG: v})
                for key, v in versions.items()
            ],
        )
    assert 1 <= len(found) <= 4, "the run's database and the index, and making or asking for them"
    assert observed_versions(batching) == versions


def test_the_plan_of_a_backfill_with_its_checks_is_few_transactions(
    tmp_path: Path, batching: dg.DagsterInstance, service: SandboxServer
) -> None:
    project = Project(tmp_path / "home", batching, service)
    project.write_many(96)
    project.look()
    keys = project.partitions()
    job = project.defs().resolve_implicit_global_asset_job_def().get_subset(asset_selection={IMAGES_KEY})
    with transactions() as found:
        run = batching.create_run_for_job(job, tags=PartitionRange(keys[0], keys[-1]).tags)
    planned = batching.event_log_storage.get_latest_storage_id_by_partition(
        IMAGES_KEY, DagsterEventType.ASSET_MATERIALIZATION_PLANNED, None
    )
    assert sorted(planned) == keys
    assert len(set(planned.values())) == len(keys)
    checks = batching.all_logs(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
    assert len(checks) == 4
    assert len(found) <= 50, "the run, four checks, and the plan of 96 pictures"


def test_checks_that_a_run_over_partitions_never_executes_keep_what_they_last_found(
    tmp_path: Path, batching: dg.DagsterInstance, service: SandboxServer
) -> None:
    project = Project(tmp_path / "home", batching, service)
    keys = project.write_many(2)
    project.look()
    checked = project.execute(project.defs().resolve_job_def("check_results"))
    assert checked.success

    job = project.defs().resolve_implicit_global_asset_job_def().get_subset(asset_selection={IMAGES_KEY})
    run = batching.create_run_for_job(job, tags=PartitionRange(*keys).tags)

    announced = batching.all_logs(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
    found = batching.event_log_storage.get_latest_asset_check_execution_by_key(list(picture_checks.check_keys))
    assert len(announced) == len(found) == 4
    assert {(one.run_id, one.status.value) for one in found.values()} == {(checked.run_id, "SUCCEEDED")}


def test_the_database_of_a_run_is_as_dagster_makes_it(tmp_path: Path) -> None:
    with BatchingEventLogStorage(str(tmp_path / "ours")).run_connection("run") as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        made = made_of(connection)
    with SqliteEventLogStorage(str(tmp_path / "dagsters")).run_connection("run") as connection:
        assert made == made_of(connection)


def test_the_log_of_an_index_that_is_kept_open_is_written_into_it_at_the_end(tmp_path: Path) -> None:
    log = tmp_path / "index.db-wal"
    ours = {"module": BatchingEventLogStorage.__module__, "class": "BatchingEventLogStorage"}
    overrides = {"event_log_storage": {**ours, "config": {"base_dir": str(tmp_path)}}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        instance.add_dynamic_partitions("of prompts", ["a"])
        assert not log.exists()
        with index_kept_open(instance):
            instance.add_dynamic_partitions("of prompts", ["b"])
            assert log.exists()
        assert not log.exists()
        assert instance.get_dynamic_partitions("of prompts") == ["a", "b"]


def made_of(connection: Connection) -> list[tuple[Any, ...]]:
    """What stands in a database: tables and indexes, and the version."""
    queries = ("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2", "SELECT * FROM alembic_version")
    return [tuple(row) for query in queries for row in connection.exec_driver_sql(query)]


def test_two_that_make_the_database_of_a_run_at_once_make_it_once(tmp_path: Path) -> None:
    storages = [BatchingEventLogStorage(str(tmp_path)) for _ in range(4)]

    def look(storage: BatchingEventLogStorage) -> int:
        with storage.run_connection("run") as connection:
            return len(made_of(connection))

    with ThreadPoolExecutor(len(storages)) as threads:
        found = set(threads.map(look, storages))
    assert len(found) == 1


def test_partitions_are_listed_in_the_order_in_which_they_were_added(
    instance: dg.DagsterInstance, batching: dg.DagsterInstance
) -> None:
    for storage in (instance, batching):
        storage.add_dynamic_partitions("of prompts", ["b", "a", "c"])
        storage.add_dynamic_partitions("of others", ["d"])
        storage.delete_dynamic_partition("of prompts", "a")
        storage.add_dynamic_partitions("of prompts", ["c", "a"])
        assert list(storage.get_dynamic_partitions("of prompts")) == ["b", "c", "a"]
        assert list(storage.get_dynamic_partitions("of none")) == []


def test_on_postgresql_the_same_partitions_may_be_added_at_once_in_different_orders(database: str) -> None:
    """Each of two such statements would wait for what the other has added, until the server ends one of them."""
    log, keys = BatchingPostgresEventLogStorage(database), ["a", "b", "c"]
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor(2) as threads:
        with log.index_transaction() as other:
            other.execute(DynamicPartitionsTable.insert().values(partitions_def_name="of prompts", partition="b"))
            adding = [threads.submit(log.add_dynamic_partitions, "of prompts", order) for order in (keys, keys[::-1])]
            with log.index_connection() as connection:
                wait_until(lambda: connection.execute(waiting).scalar() == len(adding), "both to wait")
        assert [one.exception() for one in adding] == [None, None]
    assert sorted(log.get_dynamic_partitions("of prompts")) == keys
