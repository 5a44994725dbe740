"""A Dagster instance of its own for each test, on SQLite; migrating an empty one takes longer than copying it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.dagster_layer import Project

# Runs wait in the queue, as under `dagster dev`, and are then executed in this process.
_OVERRIDES = {
    "telemetry": {"enabled": False},
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
}


@pytest.fixture(scope="session")
def empty_storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dagster")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        instance.get_runs()
        instance.event_log_storage.get_asset_records()
        instance.all_instigator_state()
    return folder


@pytest.fixture
def instance(tmp_path: Path, empty_storage: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    shutil.copytree(empty_storage, tmp_path / "dagster")
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster"), overrides=_OVERRIDES) as instance:
        yield instance


@pytest.fixture
def service() -> Iterator[SandboxServer]:
    with SandboxServer(faults=Faults(picture="flat")) as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, instance: dg.DagsterInstance, service: SandboxServer) -> Project:
    home = tmp_path / "home"
    home.mkdir()
    return Project(home, instance, service)
