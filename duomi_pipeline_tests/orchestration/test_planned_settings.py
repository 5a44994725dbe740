"""A run that was planned under other settings than its worker has sends nothing, and says which settings those are."""

import json
import warnings
from pathlib import Path

import dagster as dg
import pytest

from duomi_pipeline.orchestration.planned_settings import changed_settings, settings_tag
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.orchestration.harness import BACKFILL, OTHER_MODEL, Project

KEY = "a-key-of-the-service"
TEAM = {
    "api_key": KEY,
    "base_url": "https://duomiapi.com",
    "image_dir": "s3://pictures/team",
    "ledger_url": "postgresql+psycopg2://app:password-of-app@db:5432/ledger",
}


def changed(planned: Settings, here: Settings) -> str:
    """What a worker finds, of a run that another machine planned."""
    return changed_settings(settings_tag(planned), here)


def test_a_run_that_was_planned_under_other_settings_sends_nothing_and_names_them(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    with project.workspace() as workspace:
        request = workspace.create_request_context()
        launched = project.graphql(BACKFILL, workspace, keys=keys)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess"
        project.plan_backfills(workspace)
        project.configure(model=OTHER_MODEL)
        (run,) = project.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)
            project.instance.launch_run(run.run_id, request)

    assert project.posts() == []
    assert [run.status for run in project.instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
    (event,) = project.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert event.dagster_event is not None
    said = event.dagster_event.step_failure_data.user_failure_data
    assert said is not None
    assert ": DUOMI_MODEL. Nothing was sent." in (said.description or "")


def test_a_run_under_the_same_settings_goes_through(project: Project) -> None:
    keys = project.write_many(2)
    project.look()

    status, _ = project.backfill(keys)

    assert status == "COMPLETED_SUCCESS"
    assert len(project.posts()) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "another"),
        ("base_url", "https://example.com"),
        ("model", "gpt-image-2"),
        ("image_dir", "s3://pictures/other"),
        ("ledger_url", "postgresql://app:password-of-app@db:5432/other"),
        ("max_images_per_run", 7),
        ("requests_per_minute", 7),
    ],
)
def test_what_decides_what_is_bought_and_where_it_is_kept_must_be_the_same(
    tmp_path: Path, name: str, value: object
) -> None:
    assert changed(Settings.load(tmp_path, **TEAM), Settings.load(tmp_path, **{**TEAM, name: value})) == (
        f"DUOMI_{name.upper()}"
    )


def test_machines_may_have_homes_paces_and_users_of_their_own(tmp_path: Path) -> None:
    own = {"max_concurrency": 32, "log_dir": "/var/log", "prompt_dir": "elsewhere"}
    place = {"ledger_url": "postgresql://other:other-password@db:5432/ledger"}

    assert changed(Settings.load(tmp_path, **TEAM), Settings.load(tmp_path / "b", **{**TEAM, **own, **place})) == ""


def test_two_homes_with_a_ledger_or_a_folder_each_are_not_one_installation(tmp_path: Path) -> None:
    assert changed(Settings.load(tmp_path / "a"), Settings.load(tmp_path / "b")) == "DUOMI_IMAGE_DIR, DUOMI_LEDGER_URL"


def test_own_model_profiles_are_compared_by_what_is_in_them(tmp_path: Path) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    for home in (here, there):
        home.mkdir()
    (there / "models.toml").write_text("[models.mine]\nprice = 2\n")

    assert changed(Settings.load(here, **TEAM), Settings.load(there, **TEAM)) == "DUOMI_MODELS_FILE"


def test_no_secret_can_be_read_in_what_a_run_carries(tmp_path: Path) -> None:
    tag = json.dumps(settings_tag(Settings.load(tmp_path, **TEAM)))

    assert KEY not in tag
    assert "password-of-app" not in tag
