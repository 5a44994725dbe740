"""The asset checks, as the job `check_results` and the button "Execute all" run them."""

from collections.abc import Iterator

import dagster as dg
import pytest

from duomi_pipeline_tests.orchestration.harness import Project

OURS = {
    "pictures_whole",
    "pictures_not_blank",
    "no_picture_twice",
    "nothing_orphaned",
    "manifest_complete",
    "prompts_healthy",
}


@pytest.fixture
def cards(project: Project) -> Iterator[list[str]]:
    """Three prompts with pictures that differ, and a manifest."""
    project.service.change_faults(picture="card")
    keys = project.write_many(3)
    project.look()
    assert project.run(keys[0], keys[-1]).success
    yield keys


def check(project: Project) -> dict[str, dg.AssetCheckEvaluation]:
    """Run all checks; returns what they found, by name."""
    result = project.execute(project.defs().resolve_job_def("check_results"))
    assert result.success, "a check that finds something stops nothing"
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def test_healthy_pictures_pass_every_check(project: Project, cards: list[str]) -> None:
    found = check(project)
    assert set(found) >= OURS
    assert {name for name, evaluation in found.items() if not evaluation.passed} == set()


def test_each_check_names_what_it_found_and_what_to_do(project: Project, cards: list[str]) -> None:
    project.service.change_faults(picture="flat")
    more = [project.write("q1"), project.write("q2", "**Prompt:** a lighthouse. Negative prompt: people")]
    project.look()
    project.run(*more)
    pictures = project.home / "out/generated_images"
    damaged = next(pictures.glob("p00*"))
    damaged.write_bytes(damaged.read_bytes()[:-8] + bytes(8))
    next(pictures.glob("p01*")).unlink()
    next(pictures.glob("p02*")).rename(pictures / "p02_moved.png")  # it says itself whose it is

    found = {name: what(evaluation) for name, evaluation in check(project).items() if not evaluation.passed}

    assert found["pictures_whole"] == {"json_p00", "json_p01"}
    assert found["no_picture_twice"] == {"json_q1", "json_q2"}
    assert [name[:3] for name in found["nothing_orphaned"]] == ["p01"], "a record without a file"
    assert found["manifest_complete"] == {"json_p01"}, "it is missing now, and was written as current"
    assert found["prompts_healthy"] == {"json_q2"}
    assert "pictures_not_blank" not in found


def test_an_image_run_runs_no_checks(project: Project) -> None:
    keys = project.write_many(1)
    project.look()
    for job in ("regenerate_images", "generate_missing_images"):
        assert project.run(keys[0], job=job).get_asset_check_evaluations() == []


def what(evaluation: dg.AssetCheckEvaluation) -> set[str]:
    table = evaluation.metadata["list"]
    assert isinstance(table, dg.TableMetadataValue)
    assert "what_to_do" in evaluation.metadata
    return {str(record.data["what"]) for record in table.records}
