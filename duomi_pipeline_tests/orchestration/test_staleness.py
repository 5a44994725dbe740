"""What the UI shows as stale, partition by partition, by Dagster's own resolver."""

import pytest

from duomi_pipeline_tests.orchestration.harness import ONE_MODEL, OTHER_MODEL, Project

NEW_CODE, NEW_DATA = "has a new code version", "has a new data version"


def test_before_the_first_run_every_partition_is_missing(project: Project) -> None:
    (key,) = project.write_many(1)
    project.look()

    assert project.staleness([key]) == {key: "MISSING"}


def test_after_a_run_every_partition_is_fresh(project: Project, keys: list[str]) -> None:
    assert project.staleness(keys) == dict.fromkeys(keys, "FRESH")


def test_after_a_change_of_model_every_partition_has_a_new_code_version(project: Project, keys: list[str]) -> None:
    project.configure(model=OTHER_MODEL)

    assert project.staleness(keys) == dict.fromkeys(keys, NEW_CODE)


@pytest.mark.parametrize(
    "setting",
    [
        {"image_size": "96x160"},
        {"num_inference_steps": 30},
        {"guidance_scale": 3.5},
        {"negative_prompt": "text"},
        {"batch_size": 2},
        {"seed": "per-prompt"},
        {"protocol": "openai"},
    ],
    ids=str,
)
def test_every_setting_of_generation_is_in_the_code_version(
    project: Project, keys: list[str], setting: dict[str, object]
) -> None:
    project.configure(**setting)
    assert project.staleness(keys[:1]) == {keys[0]: NEW_CODE}

    project.run(keys[0])
    assert len(project.posts()) == 1
    assert project.staleness(keys[:1]) == {keys[0]: "FRESH"}


def test_a_picture_of_the_sandbox_is_outdated_for_the_service(project: Project) -> None:
    project.configure(base_url="sandbox")
    (key,) = project.write_many(1)
    project.look()
    made = project.events(project.run(key))[key]
    assert made.metadata["service"] == "sandbox"
    assert project.staleness([key]) == {key: "FRESH"}

    project.configure(base_url=project.service.url)

    assert project.staleness([key]) == {key: NEW_CODE}
    assert project.run(key).success
    assert len(project.posts()) == 1


def test_settings_that_draw_nothing_else_make_nothing_stale(project: Project, keys: list[str]) -> None:
    project.configure(max_concurrency=9, delay=0.5, max_images_per_run=1, price_per_image=1.0)

    assert project.staleness(keys) == dict.fromkeys(keys, "FRESH")


def test_an_edited_prompt_is_stale_alone_and_fresh_again_after_its_picture(project: Project, keys: list[str]) -> None:
    project.write("p02", "another text")
    project.look()

    assert project.staleness(keys) == {**dict.fromkeys(keys, "FRESH"), keys[2]: NEW_DATA}

    assert project.run(keys[0], keys[-1]).success
    assert project.posts() == ["another text"]
    assert project.staleness(keys) == dict.fromkeys(keys, "FRESH")


def test_a_touched_file_makes_nothing_stale(project: Project, keys: list[str]) -> None:
    project.write("p02", age=0, video_prompt="pan left")
    project.look()

    assert project.staleness(keys) == dict.fromkeys(keys, "FRESH")


def test_going_back_to_an_earlier_model_costs_nothing(project: Project, keys: list[str]) -> None:
    project.configure(model=OTHER_MODEL)
    status, _ = project.backfill(keys[:3])
    assert status == "COMPLETED_SUCCESS"
    assert [post.model for post in project.service.books.posts()] == [OTHER_MODEL] * 3
    assert project.staleness(keys) == {**dict.fromkeys(keys, "FRESH"), keys[3]: NEW_CODE}

    project.configure(model=ONE_MODEL)
    assert project.staleness(keys) == {**dict.fromkeys(keys, NEW_CODE), keys[3]: "FRESH"}
    project.service.books.reset()
    status, _ = project.backfill(keys[:3])

    assert status == "COMPLETED_SUCCESS"
    assert project.posts() == []
    assert project.staleness(keys) == dict.fromkeys(keys, "FRESH")


def test_going_back_to_an_earlier_text_costs_nothing(project: Project, keys: list[str]) -> None:
    project.write("p01", "another text")
    project.run(keys[1])
    project.write("p01")
    project.service.books.reset()

    project.run(keys[1])

    assert project.posts() == []
    assert project.staleness(keys) == dict.fromkeys(keys, "FRESH")


def test_a_kept_outdated_picture_stays_stale(project: Project, keys: list[str]) -> None:
    project.configure(model=OTHER_MODEL)

    project.run(keys[0], keys[-1], job="generate_missing_images")

    assert project.posts() == []
    assert project.staleness(keys) == dict.fromkeys(keys, NEW_CODE)


def test_a_picture_of_another_model_for_one_run_shows_as_stale(project: Project, keys: list[str]) -> None:
    project.run(keys[0], model=OTHER_MODEL)

    assert project.staleness(keys) == {**dict.fromkeys(keys, "FRESH"), keys[0]: NEW_CODE}


def test_a_prompt_with_a_model_of_its_own_is_reused_and_fresh_after_a_change_of_the_setting(project: Project) -> None:
    key = project.write("own", generation={"model": OTHER_MODEL})
    project.look()
    project.run(key)
    project.service.books.reset()
    project.configure(model="runwayml/stable-diffusion-v1-5")

    project.run(key)

    assert project.posts() == []
    assert project.staleness([key]) == {key: "FRESH"}


def test_a_refused_prompt_leaves_an_earlier_picture_stale(project: Project, keys: list[str]) -> None:
    project.service.change_faults(refuse=("forbidden",))
    project.write("p01", "something forbidden")
    project.look()

    project.run(keys[1])

    assert project.staleness(keys[:2]) == {keys[0]: "FRESH", keys[1]: NEW_DATA}
