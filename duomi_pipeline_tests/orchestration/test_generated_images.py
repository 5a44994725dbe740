"""Runs over `generated_images`: what the event log, the partitions and the service's books say afterwards."""

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY
from duomi_pipeline.orchestration.partition_sync import observed_versions
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.images.harness import opened
from duomi_pipeline_tests.orchestration.harness import (
    ONE_MODEL,
    OTHER_MODEL,
    Project,
    failure_of,
    failure_text,
    range_of,
    step_error,
)

THUMBNAIL = "[![thumbnail](data:image/webp;base64,"


def test_a_ranged_run_logs_one_event_per_image_and_no_other(project: Project) -> None:
    keys = project.write_many(4)
    project.look()

    run = project.run(keys[1], keys[2])

    assert run.success
    logged = [(event.asset, event.partition) for event in project.logged(run)]
    assert sorted(logged, key=str) == [
        ("generated_images", "json_p01"),
        ("generated_images", "json_p02"),
        ("results_manifest", None),
    ]
    assert not [event for event in run.all_events if event.event_type_value == "STEP_OUTPUT"]
    assert sorted(map(str, project.posts())) == ["picture of p01", "picture of p02"]


def test_the_event_of_an_image_says_what_it_is_and_shows_it(project: Project) -> None:
    project.configure(price_per_image=0.25, currency="EUR")
    key = project.write("lighthouse", "a lighthouse at dawn")
    project.look()

    found = project.events(project.run(key))[key].metadata

    path = Path(str(found["path"]))
    data = path.read_bytes()
    assert path.parent == project.home / "out/generated_images"
    assert re.fullmatch(r"lighthouse_\d{8}_\d{6}_\d{3}\.png", path.name)
    assert found["bytes"] == len(data)
    assert found["size"] == "108x192" == "{}x{}".format(*opened(data).size)
    assert found["seed"] == project.service.books.billings()[0].seed
    assert found["model"] == ONE_MODEL
    assert found["prompt"] == "a lighthouse at dawn"
    assert found["origin"] == "lighthouse.json"
    assert found["how"] == "generated"
    assert found["attempts"] == 1
    assert found["cost_EUR"] == 0.25
    assert 0 < found["latency_seconds"] < 30
    preview = found["preview"]
    assert preview.startswith(THUMBNAIL)
    assert len(preview) < 10_000  # it lives in the event log
    picture = opened(base64.b64decode(preview.removeprefix(THUMBNAIL).partition(")")[0]))
    assert picture.height > picture.width


def test_a_run_that_buys_nothing_logs_reused_images(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    first = project.events(project.run(*keys))
    project.service.books.reset()

    again = project.events(project.run(*keys))

    assert set(again) == set(keys)
    assert {event.metadata["how"] for event in again.values()} == {"reused"}
    assert [again[key].metadata["path"] for key in keys] == [first[key].metadata["path"] for key in keys]
    assert [again[key].tags for key in keys] == [first[key].tags for key in keys]
    assert [again[key].metadata["preview"] for key in keys] == [first[key].metadata["preview"] for key in keys]
    assert project.posts() == []


def test_force_buys_a_current_image_again(project: Project) -> None:
    key = project.write("p")
    project.look()
    first = project.events(project.run(key))[key]

    again = project.events(project.run(key, force=True))[key]

    assert len(project.posts()) == 2
    assert again.metadata["path"] != first.metadata["path"]
    assert again.tags["dagster/data_version"] != first.tags["dagster/data_version"]


def test_run_config_asks_for_another_model_and_seed_for_one_run(project: Project) -> None:
    key = project.write("p")
    project.look()

    found = project.events(project.run(key, model=OTHER_MODEL, seed=7, image_size="96x160"))[key].metadata

    assert (found["model"], found["seed"], found["size"]) == (OTHER_MODEL, 7, "96x160")
    assert project.service.books.posts()[0].model == OTHER_MODEL


def test_max_images_ends_a_run_and_the_partitions_not_reached_are_failed(project: Project) -> None:
    keys = project.write_many(3)
    project.look()

    run = project.run(keys[0], keys[-1], max_images=1)

    materialized, failed = project.materialized_and_failed()
    assert (len(materialized), len(failed), len(project.posts())) == (1, 2, 1)
    assert "2 were not reached" in failure_text(run)
    assert "max_images=" in failure_text(run)


def test_a_task_that_takes_longer_than_allowed_is_not_bought_again_in_the_same_run(project: Project) -> None:
    project.service.change_faults(task_seconds=600, latency=0.3)  # the answer itself takes longer than the task may
    project.configure(model="gpt-image-2", task_timeout=0.1)
    key = project.write("p")
    project.look()

    project.run(key, max_images=3)

    assert len(project.posts()) == 1


def test_the_job_of_missing_images_leaves_outdated_ones_as_they_are(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    made = project.events(project.run(keys[0]))[keys[0]]
    project.configure(model=OTHER_MODEL)

    run = project.run(*keys, job="generate_missing_images")

    found = project.events(run)
    assert found[keys[0]].metadata["how"] == "kept: outdated"
    assert found[keys[0]].metadata["path"] == made.metadata["path"]
    assert found[keys[0]].metadata["preview"] == made.metadata["preview"]
    assert found[keys[0]].tags["dagster/code_version"] == made.tags["dagster/code_version"]
    assert found[keys[1]].metadata["how"] == "generated"
    assert [post.model for post in project.service.books.posts()] == [ONE_MODEL, OTHER_MODEL]


def test_a_refused_prompt_that_a_run_leaves_alone_stays_failed(project: Project) -> None:
    keys = project.write_many(3)
    project.look()
    project.service.change_faults(refuse=("p01",))
    project.run(keys[0], keys[-1])
    project.service.books.reset()

    project.run(keys[0], keys[-1], job="generate_missing_images")

    assert project.posts() == []
    assert project.materialized_and_failed() == ({keys[0], keys[2]}, {keys[1]})


def test_a_single_partition_is_materialized_as_the_ui_does(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    job = project.defs().resolve_implicit_global_asset_job_def()

    run = project.execute(job, partition_key=keys[1], asset_selection=[IMAGES_KEY])

    assert list(project.events(run)) == [keys[1]]
    assert project.posts() == ["picture of p01"]


def test_several_pictures_of_one_prompt_are_one_event(project: Project) -> None:
    project.configure(batch_size=2)
    key = project.write("p")
    project.look()

    found = project.events(project.run(key))[key].metadata

    files = list((project.home / "out/generated_images").glob("p_*.png"))
    assert (found["pictures"], len(files)) == (2, 2)
    assert found["bytes"] == sum(path.stat().st_size for path in files)


def test_run_config_that_cannot_be_used_is_named_and_nothing_is_sent(project: Project) -> None:
    key = project.write("p")
    project.look()

    run = project.run(key, image_size="large")

    assert "image_size" in step_error(run)
    assert "write it as WIDTHxHEIGHT" in step_error(run)
    assert project.posts() == []


def test_a_manifest_that_cannot_be_written_does_not_hide_which_prompts_failed(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.service.change_faults(refuse=("p01",))
    (project.home / "out/manifest").write_text("a file, not a folder")

    run = project.run(*keys)

    assert project.materialized_and_failed() == ({keys[0]}, {keys[1]})
    assert f"- {keys[1]}: The prompt was rejected" in failure_text(run)


def test_a_deleted_picture_is_made_again(project: Project) -> None:
    key = project.write("p")
    project.look()
    made = project.events(project.run(key))[key].metadata["path"]
    project.service.books.reset()
    (project.home / made).unlink()

    again = project.events(project.run(key, job="generate_missing_images"))[key]

    assert again.metadata["how"] == "generated"
    assert len(project.posts()) == 1


def test_two_prompts_with_the_same_text_pay_once_and_have_a_picture_each(project: Project) -> None:
    keys = [project.write("a", "a twin"), project.write("b", "a twin")]
    project.look()

    found = project.events(project.run(*keys))

    assert len(project.posts()) == 1
    assert {event.metadata["how"] for event in found.values()} == {"generated", "reused"}
    assert len({event.metadata["path"] for event in found.values()}) == 2


def test_a_partition_whose_file_is_gone_fails_by_name_and_the_others_are_made(project: Project) -> None:
    keys = project.write_many(3)
    project.look()
    project.remove(keys[1])
    project.look_elsewhere()

    run = project.run(keys[0], keys[-1])

    assert project.materialized_and_failed() == ({keys[0], keys[2]}, {keys[1]})
    assert f"- {keys[1]}: there is no such prompt any more" in failure_text(run)


def test_an_edited_prompt_is_observed_by_the_run_that_redraws_it(project: Project) -> None:
    key = project.write("p", "a red kite")
    project.look()
    before = observed_versions(project.instance)
    project.write("p", "a blue kite")
    project.look_elsewhere()

    made = project.events(project.run(key))[key]

    assert observed_versions(project.instance) != before
    assert observed_versions(project.instance) == {key: made.tags["dagster/input_data_version/prompts"]}
    assert project.staleness([key]) == {key: "FRESH"}


def test_the_api_key_is_neither_in_the_event_log_nor_in_run_config(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-never-to-be-seen-0815"
    monkeypatch.setenv("DUOMI_API_KEY", secret)
    project.service.change_faults(api_key=secret, refuse=("p01",))
    keys = project.write_many(2)
    project.look()

    run = project.run(*keys)
    project.service.change_faults(api_key="another one")
    project.write("p02")
    project.look()
    turned_away = project.run("json_p02")

    assert len(project.posts()) == 3
    assert "Check DUOMI_API_KEY" in failure_text(turned_away)
    for run_id in (run.run_id, turned_away.run_id):
        log = "".join(dg.serialize_value(entry) for entry in project.instance.all_logs(run_id))
        assert len(log) > 1_000
        assert secret not in log
        stored = project.instance.get_run_by_id(run_id)
        assert stored is not None
        assert secret not in json.dumps([stored.run_config, stored.tags])
    everything = b"".join(path.read_bytes() for path in project.home.parent.rglob("*") if path.is_file())
    assert secret.encode() not in everything


def test_of_31_prompts_with_3_refused_28_are_there_those_3_failed_and_only_they_run_again(project: Project) -> None:
    everything, refused = project.write_many(31), ("json_p05", "json_p17", "json_p30")
    project.look()
    project.service.change_faults(refuse=("p05", "p17", "p30"))

    run = project.run(everything[0], everything[-1])

    assert not run.success
    assert len(project.posts()) == 31
    assert set(project.events(run)) == set(everything) - set(refused)
    assert project.materialized_and_failed() == (set(everything) - set(refused), set(refused))
    assert sorted(failure_text(run).splitlines()) == sorted(
        [
            "28 pictures are there, 3 failed, 0 were not reached.",
            *(f"- {key}: The prompt was rejected: it may contain unsafe content. (refused 20021)" for key in refused),
        ]
    )

    project.service.change_faults(refuse=())
    project.service.books.reset()
    status, runs = project.backfill(refused)

    assert status == "COMPLETED_SUCCESS"
    assert sorted(range_of(run.tags) for run in runs) == [(key, key) for key in refused]
    assert sorted(map(str, project.posts())) == ["picture of p05", "picture of p17", "picture of p30"]
    assert project.materialized_and_failed() == (set(everything), set())


def test_a_failed_run_is_not_tried_again_by_dagster(project: Project) -> None:
    project.service.change_faults(refuse=("p00",))
    (key,) = project.write_many(1)
    project.look()

    run = project.run(key)

    assert failure_of(run).label == "intentional-failure"
    step = project.defs().resolve_job_def("generate_missing_images").get_node_named("generated_images").definition
    assert isinstance(step, dg.OpDefinition)
    assert step.retry_policy is None
    assert len(project.posts()) == 1


def test_the_failures_are_also_a_table_of_the_run(project: Project) -> None:
    keys = project.write_many(25)
    project.look()
    project.service.change_faults(refuse=tuple(f"p{number:02}" for number in range(22)))

    run = project.run(keys[0], keys[-1])

    text = failure_text(run)
    assert text.startswith("3 pictures are there, 22 failed")
    assert text.count("\n- ") == 20
    assert "… and 2 more: see the table `failures`." in text
    table = failure_of(run).metadata["failures"]
    assert isinstance(table, dg.TableMetadataValue)
    assert {record.data["prompt_id"] for record in table.records} == set(keys[:22])


def test_a_damaged_ledger_fails_a_run_and_skips_a_tick_in_plain_words(project: Project, keys: list[str]) -> None:
    ledger = project.home / "out" / "ledger.db"
    ledger.write_bytes(ledger.read_bytes()[:20_000])
    project.write("kite", "a red kite")

    run = project.run(keys[0], keys[-1])

    assert failure_text(run).startswith(f"The ledger {ledger} is damaged: ")
    assert str(project.tick().skip_message) == failure_text(run)
    assert failure_text(run).endswith("duomi ledger rebuild")
    assert project.posts() == []


def test_a_run_whose_ledger_is_deleted_fails_in_plain_words_and_the_next_one_buys_nothing_again(
    project: Project,
) -> None:
    keys = project.write_many(1)
    project.look()
    project.service.change_faults(latency=0.5)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(project.run, keys[0])
        wait_until(lambda: project.service.books.billed() == 1, "the bill")
        (project.home / "out" / "ledger.db").unlink()
        run = running.result()
    words = f"The ledger {project.home}/out/ledger.db was deleted, moved or replaced while it was in use."
    assert f"{words} Nothing more is sent." in failure_text(run)

    assert project.run(keys[0]).success
    assert len(project.posts()) == 1


def test_each_picture_has_an_event_of_its_own_millisecond_which_the_ui_would_hide_else(project: Project) -> None:
    keys = project.write_many(12)
    project.look()
    for _ in range(2):  # made, then kept
        project.run(keys[0], keys[-1])
        records = project.instance.fetch_materializations(IMAGES_KEY, limit=12).records
        assert len({int(record.timestamp * 1000) for record in records}) == 12


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"image_size": "large"}, "`image_size`: write it as WIDTHxHEIGHT"),
        ({"states": ["missed"]}, "`states`: there is no missed, but changed, current, "),
        ({"max_images": -1}, "`max_images`: -1 is less than 0"),
    ],
)
def test_a_config_that_cannot_be_is_refused_in_words(project: Project, config: dict[str, Any], said: str) -> None:
    key = project.write("p00")
    project.look()

    text = failure_text(project.run(key, **config))

    assert text.startswith(said)
    assert text.endswith(". Nothing was sent.")
    assert not project.posts()
