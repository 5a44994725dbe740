"""A Dagster instance of its own for each test, on SQLite, and the project that it keeps the history of.

Migrating empty databases and making the first pictures take longer than a copy: both are done once.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.orchestration.harness import Project
from duomi_pipeline_tests.postgres import postgres_database

ROOT = Path(__file__).parents[2]

# Runs wait in the queue, as under `dagster dev`, and are then executed in this process. Their output is not
# captured: Dagster starts two processes for that in every run.
_OVERRIDES = {
    "telemetry": {"enabled": False},
    "run_monitoring": {"enabled": True},
    "concurrency": {"pools": {"default_limit": 1, "granularity": "run"}},
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    },
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
}


def open_instance(folder: Path) -> dg.DagsterInstance:
    """An instance that lies in the folder `dagster`."""
    (folder / "dagster").mkdir(parents=True, exist_ok=True)
    return dg.DagsterInstance.local_temp(str(folder / "dagster"), overrides=_OVERRIDES)


def open_service() -> SandboxServer:
    """A service whose pictures are drawn at once."""
    return SandboxServer(faults=Faults(picture="flat"))


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    with open_instance(folder) as instance:
        instance.get_runs()
        instance.event_log_storage.get_asset_records()
        instance.all_instigator_state()
    return folder


@pytest.fixture(scope="session")
def pictured(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    folder = tmp_path_factory.mktemp("pictured")
    shutil.copytree(empty, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, open_instance(folder) as instance, open_service() as service:
        for name in [name for name in os.environ if name.startswith(("DUOMI_", "DAGSTER_"))]:
            patch.delenv(name)
        project = Project(folder / "home", instance, service)
        first, *_, last = project.write_many(4)
        project.look()
        assert project.run(first, last).success
    return folder


@pytest.fixture
def instance(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    start: Path = request.getfixturevalue("pictured" if "keys" in request.fixturenames else "empty")
    shutil.copytree(start, tmp_path, dirs_exist_ok=True)
    with open_instance(tmp_path) as instance:
        yield instance


@pytest.fixture
def service() -> Iterator[SandboxServer]:
    with open_service() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, instance: dg.DagsterInstance, service: SandboxServer) -> Project:
    return Project(tmp_path / "home", instance, service)


@pytest.fixture
def keys(project: Project) -> list[str]:
    """Four prompts that have their pictures; the service has not been asked for anything yet."""
    assert project.posts() == []
    return project.partitions()


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of a PostgreSQL database of its own for each test."""
    with postgres_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def batching(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """An instance as the project's `dagster.yaml` makes one, or with the storages of `docs/operations.md` in it."""
    config = (ROOT / "dagster.yaml").read_text(encoding="utf-8")
    if request.param == "postgresql":
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", request.getfixturevalue("database"))
        guide = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
        storages = next(block for block in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL) if "postgres" in block)
        config = re.sub(r"^\w+_storage:\n(?: .*\n)+", "", config, flags=re.MULTILINE) + storages
    home = tmp_path / "batching"
    home.mkdir()
    (home / "dagster.yaml").write_text(config, encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "")  # what the storage sets goes with the test
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield instance
