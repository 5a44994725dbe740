"""Image runs that are started without partitions: they do what `duomi generate` does."""

from typing import Any

import dagster as dg
import pytest

from duomi_pipeline.orchestration.assets.images_config import ImagesConfig
from duomi_pipeline.orchestration.jobs import images_config
from duomi_pipeline_tests.orchestration.harness import OTHER_MODEL, Project, failure_text


def launch(project: Project, job: str = "generate_missing_images", **config: Any) -> dg.ExecuteInProcessResult:
    return project.execute(project.defs().resolve_job_def(job), run_config=images_config(ImagesConfig(**config)))


def test_new_and_changed_prompts_are_generated_and_the_others_left(project: Project, keys: list[str]) -> None:
    project.write("p01", "another text")
    new = project.write("new")

    run = launch(project)

    assert run.success
    assert sorted(map(str, project.posts())) == ["another text", "picture of new"]
    assert project.partitions() == [*keys, new]
    assert set(project.events(run)) == {"json_p01", new}
    assert set(project.staleness([*keys, new]).values()) == {"FRESH"}
    assert project.materialized_and_failed() == ({*keys, new}, set())


def test_again_there_is_nothing_to_do(project: Project, keys: list[str]) -> None:
    project.write("new")
    launch(project)

    again = launch(project)

    assert again.success
    assert project.events(again) == {}
    assert project.posts() == ["picture of new"]
    assert project.settings().path("logs/duomi_image_generation.log").is_file()


def test_outdated_pictures_are_bought_only_by_the_job_that_says_so(project: Project, keys: list[str]) -> None:
    project.configure(model=OTHER_MODEL)

    assert launch(project).success
    assert launch(project, job="__ASSET_JOB").success
    assert project.posts() == []

    assert launch(project, job="regenerate_images").success
    assert len(project.posts()) == len(keys)


def test_partitions_that_fail_show_as_failed_and_no_others(project: Project, keys: list[str]) -> None:
    project.service.change_faults(refuse=("forbidden",))
    good, bad = project.write("good"), project.write("bad", "something forbidden")

    run = launch(project)

    assert not run.success
    assert f"- {bad}: " in failure_text(run)
    assert project.materialized_and_failed() == ({*keys, good}, {bad})


def test_a_cap_holds_over_all_its_pieces(project: Project) -> None:
    project.configure(run_size=2)
    project.write_many(7)

    run = launch(project, max_images=3)

    assert "3 pictures are there, 0 failed, 4 were not reached" in failure_text(run)
    assert len(project.posts()) == 3
    assert len(project.materialized_and_failed()[0]) == 3

    assert launch(project).success
    assert len(project.posts()) == 7


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"force": True}, "`force` is for chosen partitions"),
        ({"keep": "1"}, "`keep` is for a run of one partition"),
        ({"seed": 7, "force": True}, "`force` is for chosen partitions"),
    ],
)
def test_what_is_for_chosen_partitions_is_refused_without_any(
    project: Project, keys: list[str], config: dict[str, Any], words: str
) -> None:
    project.write("new")

    run = launch(project, **config)

    assert words in failure_text(run)
    assert project.posts() == []


def test_while_it_works_the_sensor_leaves_all_prompts_to_it(project: Project, keys: list[str]) -> None:
    project.write("new")
    project.look()
    project.start_run(dg.DagsterRunStatus.STARTED, {})

    tick = project.tick()

    assert not tick.run_requests
    assert "waiting for the end of active image runs" in (tick.skip_message or "")


def test_a_refusal_of_a_language_model_is_named_before_it_is_bought(
    project: Project, keys: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    key = project.write("sorry", "I'm sorry, but I can't create that image.")

    launch(project)

    assert f"No picture? {key}: It reads like a language model that refuses" in capfd.readouterr().err


@pytest.mark.parametrize("job", ["generate_missing_images", "regenerate_images", "__ASSET_JOB"])
def test_the_launchpad_shows_little_and_nothing_that_contradicts_the_job(
    project: Project, keys: list[str], job: str
) -> None:
    query = """
    query ($selector: PipelineSelector!) { runConfigSchemaOrError(selector: $selector) {
      ... on RunConfigSchema { rootDefaultYaml } } }
    """
    with project.workspace() as workspace:
        selector = {
            "repositoryLocationName": "duomi_pipeline",
            "repositoryName": "__repository__",
            "pipelineName": job,
            "assetSelection": [{"path": ["generated_images"]}],
        }
        found = project.graphql(query, workspace, selector=selector)["runConfigSchemaOrError"]["rootDefaultYaml"]
    assert found.replace("resources: {}", "").strip() == "ops:\n  generated_images:\n    config:\n      force: false"
