"""deploy/kubernetes: the values fit our settings and versions; with Helm and Dagster's chart at hand, what they render is valid."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.ref import InstanceRef

from duomi_pipeline_tests.deploy.files import DEPLOY, VERSION, check_settings, locked, read

FOLDER = DEPLOY / "kubernetes"
VALUES = read(FOLDER / "values.yaml")
(DEPLOYMENT,) = VALUES["dagster-user-deployments"]["deployments"]
METRICS = VALUES["extraManifests"][0]["spec"]["template"]["spec"]["containers"][0]


def test_the_settings_take_the_environment_of_runs_and_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {one["name"]: one["value"] for one in DEPLOYMENT["env"]}
    check_settings(runs, tmp_path, monkeypatch)
    assert {one["name"]: one["value"] for one in METRICS["env"]}.items() <= runs.items()


def test_every_image_is_of_this_version_and_the_chart_of_the_locks_dagster() -> None:
    ours = [VALUES["dagsterWebserver"]["image"], VALUES["dagsterDaemon"]["image"], DEPLOYMENT["image"]]
    assert {str(image["tag"]) for image in ours} | {METRICS["image"].rpartition(":")[2]} == {VERSION}
    page = (FOLDER / "README.md").read_text()
    assert f"--version {locked('dagster')} " in page
    assert f"duomi-pipeline:{VERSION} " in page
    compose = read(DEPLOY / "compose" / "compose.yaml")["services"]["postgres"]["image"]
    assert VALUES["postgresql"]["image"]["tag"] == compose.partition(":")[2]


def test_the_event_log_is_on_the_same_database_as_all_else() -> None:
    log = VALUES["additionalInstanceConfig"]["event_log_storage"]["config"]["postgres_db"]
    database = VALUES["postgresql"]
    assert log["hostname"] == database["postgresqlHost"]
    assert log["username"] == database["postgresqlUsername"]
    assert log["db_name"] == database["postgresqlDatabase"]


def test_dagster_is_set_as_on_celery() -> None:
    """What is said twice, once in the chart's words, is the same."""
    celery, daemon = read(DEPLOY / "dagster.yaml"), VALUES["dagsterDaemon"]
    assert daemon["runRetries"]["maxRetries"] == celery["run_retries"]["max_retries"]
    assert (
        daemon["runRetries"]["retryOnAssetOrOpFailure"]
        is celery["run_retries"]["retry_on_asset_or_op_failure"]
        is False
    )
    assert daemon["runMonitoring"]["maxRuntimeSeconds"] == celery["run_monitoring"]["max_runtime_seconds"]
    assert daemon["runMonitoring"]["maxResumeRunAttempts"] == celery["run_monitoring"]["max_resume_run_attempts"] == 0
    assert VALUES["concurrency"]["pools"]["granularity"] == celery["concurrency"]["pools"]["granularity"] == "run"
    assert VALUES["concurrency"]["pools"]["defaultLimit"] == celery["concurrency"]["pools"]["default_limit"] == 1


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """What `helm template` makes of the values."""
    helm, chart = shutil.which("helm"), os.environ.get("TEST_DAGSTER_CHART")
    if helm is None or not chart:
        pytest.skip("helm is not on PATH, or TEST_DAGSTER_CHART names no folder with Dagster's chart")
    line = [helm, "template", "duomi", chart, "--namespace", "duomi", "--values", str(FOLDER / "values.yaml")]
    # The chart's schema points to definitions on the network; it is checked below, against those of a package.
    env = {**os.environ, "HOME": str(tmp_path_factory.mktemp("helm"))}
    run = subprocess.run([*line, "--skip-schema-validation"], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    yield [manifest for manifest in yaml.safe_load_all(run.stdout) if manifest]


def test_what_the_chart_makes_of_the_values_is_valid(rendered: list[Any]) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    assert len(rendered) > 10
    for manifest in rendered:
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_the_charts_dagster_yaml_says_what_the_values_mean(rendered: list[Any], tmp_path: Path) -> None:
    (instance,) = (one for one in rendered if "dagster.yaml" in (one.get("data") or ()))
    (tmp_path / "dagster.yaml").write_text(instance["data"]["dagster.yaml"])
    found = InstanceRef.from_dir(str(tmp_path))
    settings: Any = found.settings
    assert found.event_storage_data is not None
    assert found.event_storage_data.class_name == "BatchingPostgresEventLogStorage", (
        "of two entries the last one counts"
    )
    assert found.run_launcher_data is not None
    assert found.run_launcher_data.class_name == "K8sRunLauncher"
    assert settings["run_retries"] == {"enabled": True, "max_retries": 3, "retry_on_asset_or_op_failure": False}
    assert settings["concurrency"]["pools"] == {"default_limit": 1, "granularity": "run"}
    assert settings["telemetry"] == {"enabled": False}


def test_no_pod_runs_as_root(rendered: list[Any]) -> None:
    pods = [one["spec"]["template"]["spec"] for one in rendered if one["kind"] == "Deployment"]
    assert len(pods) == 5
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods)
