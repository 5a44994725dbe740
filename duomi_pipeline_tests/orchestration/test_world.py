"""What Dagster's runs and ticks do where pictures, ledger or prompts look lost: nothing is bought, nothing is retired."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from duomi_pipeline_tests.orchestration.harness import Project, failure_of, failure_text


@pytest.fixture
def twelve(project: Project) -> list[str]:
    """Twelve prompts with their pictures, known to Dagster."""
    found = project.write_many(12)
    project.look()
    assert project.run(found[0], found[-1]).success
    assert len(project.posts()) == 12
    return found


def unmount(project: Project, folder: str) -> Path:
    """Put an empty folder in the place of another one."""
    path = project.home / folder
    away = path.rename(project.home / "away")
    path.mkdir()
    return away


def lose_ledger(project: Project) -> None:
    for file in (project.home / "out").glob("ledger.db*"):
        file.unlink()


@pytest.mark.parametrize("whole_range", [True, False])
def test_a_run_over_pictures_that_are_not_mounted_fails_with_a_sentence(
    project: Project, twelve: list[str], whole_range: bool
) -> None:
    unmount(project, "out/generated_images")

    run = project.run(twelve[0], twelve[-1] if whole_range else twelve[1])

    assert not run.success
    assert "12 of 12 recorded pictures are not in" in failure_text(run)
    assert "regenerate_lost" in failure_text(run)
    assert len(project.posts()) == 12


def test_a_run_makes_them_again_where_the_launchpad_says_so(project: Project, twelve: list[str]) -> None:
    unmount(project, "out/generated_images")
    assert project.run(twelve[0], twelve[-1], regenerate_lost=True).success
    assert len(project.posts()) == 24


def test_the_sensor_waits_and_says_why(project: Project, twelve: list[str]) -> None:
    unmount(project, "out/generated_images")
    project.write("new", "a new picture")

    tick = project.tick()

    assert not tick.run_requests
    assert "12 of 12 recorded pictures are not in" in str(tick.skip_message)
    assert "Mount or restore the folder" in str(tick.skip_message)
    assert project.scheduled() == []


@pytest.mark.parametrize("start", ["run", "sensor"])
def test_a_lost_ledger_heals_and_nothing_is_bought_again(project: Project, twelve: list[str], start: str) -> None:
    lose_ledger(project)
    if start == "run":
        assert project.run(twelve[0], twelve[-1]).success
    else:
        assert not project.tick().run_requests
    assert len(project.posts()) == 12


@pytest.mark.parametrize("away", ["missing", "empty"])
def test_a_prompt_folder_that_is_not_mounted_retires_nothing(project: Project, twelve: list[str], away: str) -> None:
    unmount(project, "out/prompt_json")
    if away == "missing":
        shutil.rmtree(project.folder)

    run = project.materialize("prompt_files")

    failure = failure_of(run)
    assert "had 12 prompts before. Nothing was retired." in str(failure.description)
    assert project.partitions() == twelve
    tick = project.tick()
    assert not [r for r in tick.dynamic_partitions_requests or () if isinstance(r, dg.DeleteDynamicPartitionsRequest)]


def test_an_empty_table_retires_nothing(project: Project) -> None:
    rows = project.write_table("a fox", "a crow")
    project.look()
    (project.home / "data/llm_video_batch.db").unlink()
    shutil.rmtree(project.home / "data")
    project.write_table()

    run = project.materialize("prompt_table")

    assert not run.success
    assert project.look() == rows
