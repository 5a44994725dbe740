"""The asset `results_manifest`: when it is rewritten, and what it says of every state."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from duomi_pipeline.manifest import COLUMNS
from duomi_pipeline_tests.orchestration.harness import ONE_MODEL, OTHER_MODEL, Project

MANIFEST = "results_manifest"


def rows(project: Project) -> dict[str, dict[str, Any]]:
    """The manifest by prompt id, as its JSON says it."""
    records = json.loads((project.home / "out/manifest/results.json").read_text())
    assert len({record["prompt_id"] for record in records}) == len(records)
    return {record["prompt_id"]: record for record in records}


@pytest.fixture
def every_state(project: Project) -> dict[str, str]:
    """A prompt in each state, by state; rewritten by the last image run."""
    project.write_table('a fox, 山水 "quoted"')
    ids = {"current": project.write("a", generation={"model": ONE_MODEL})}
    ids |= {state: project.write(stem) for state, stem in (("changed", "b"), ("outdated", "c"), ("missing", "d"))}
    ids |= {"failed_for_good": project.write("refused"), "failed_for_now": project.write("unavailable")}
    project.look()
    assert project.run(ids["current"], ids["outdated"]).success
    project.configure(model=OTHER_MODEL)
    project.write("b", "another text")
    project.look()
    project.service.change_faults(rate_503=1.0)
    project.run(ids["failed_for_now"])
    project.service.change_faults(rate_503=0.0, refuse=("refused",))
    project.run(ids["failed_for_good"])
    return ids


def test_every_prompt_has_one_row_whatever_its_state(project: Project, every_state: dict[str, str]) -> None:
    found = rows(project)

    assert {key: row["state"] for key, row in found.items()} == {
        "db_1": "missing",
        **{prompt_id: state for state, prompt_id in every_state.items()},
    }
    with_picture = {key for key, row in found.items() if row["saved_path"]}
    assert with_picture == {every_state[state] for state in ("outdated", "changed", "current")}
    assert [key for key, row in found.items() if row["success"]] == [every_state["current"]]
    assert found["db_1"]["prompt"] == 'a fox, 山水 "quoted"'
    assert (found["db_1"]["source"], found["db_1"]["origin"], found["db_1"]["image_id"]) == (
        "database",
        "prompts.id=1",
        1,
    )
    refused = found[every_state["failed_for_good"]]
    assert (refused["error_class"], refused["error"]) == (
        "refused",
        "The prompt was rejected: it may contain unsafe content.",
    )
    assert found[every_state["failed_for_now"]]["error_class"] == "busy"


def test_a_row_tells_what_the_picture_is(project: Project) -> None:
    (key,) = project.write_many(1)
    project.look()
    project.run(key)

    row = rows(project)[key]

    (path,) = (project.home / "out/generated_images").glob("p00_*.png")
    assert row["saved_path"] == str(path)
    assert (row["files"], row["bytes"], row["size"]) == (1, path.stat().st_size, "108x192")
    assert (row["model"], row["seed"], row["host_kind"]) == (ONE_MODEL, 51515151, "local")
    assert row["timestamp"].endswith("+00:00")


def test_the_row_of_an_outdated_picture_tells_of_that_picture(project: Project) -> None:
    (key,) = project.write_many(1)
    project.look()
    project.run(key)
    project.configure(model=OTHER_MODEL, seed=7)

    project.materialize("results_manifest")

    row = rows(project)[key]
    assert row["state"] == "outdated"
    assert (row["model"], row["seed"]) == (ONE_MODEL, 51515151)


def test_all_four_files_have_the_same_rows(project: Project, every_state: dict[str, str]) -> None:
    folder = project.home / "out/manifest"

    parquet, csv = pd.read_parquet(folder / "results.parquet"), pd.read_csv(folder / "results.csv")
    with closing(sqlite3.connect(folder / "results.db")) as db:
        asked = db.execute("SELECT prompt_id, state FROM results").fetchall()

    told = [(key, row["state"]) for key, row in rows(project).items()]
    assert {state for _, state in told} == set(every_state)
    assert asked == told
    for table in (parquet, csv):
        assert list(zip(table["prompt_id"], table["state"], strict=True)) == told


def test_it_is_rewritten_after_an_image_run_that_failed_partly(project: Project) -> None:
    keys = project.write_many(3)
    project.look()
    project.service.change_faults(refuse=("p01",))

    run = project.run(keys[0], keys[-1])

    assert not run.success
    assert [row["state"] for row in rows(project).values()] == ["current", "failed_for_good", "current"]
    event = project.events(run, MANIFEST)[None]
    counts = {name: event.metadata[name] for name in ("current", "failed_for_good", "missing")}
    assert counts == {"current": 2, "failed_for_good": 1, "missing": 0}


def test_it_is_left_to_the_last_of_the_runs_that_wait_and_each_says_what_it_did(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.start_run(dg.DagsterRunStatus.QUEUED, {"dagster/partition": keys[1]})

    run = project.run(keys[0])

    assert run.success
    assert not (project.home / "out/manifest").exists()
    (said,) = [event.asset_observation_data.asset_observation for event in run.get_asset_observation_events()]
    assert said.asset_key.to_user_string() == MANIFEST
    assert said.metadata["run_generated"].value == 1
    assert "contact_sheet" in said.metadata
    (waiting,) = project.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    project.instance.report_run_canceled(waiting)
    project.run(keys[1])
    assert [row["state"] for row in rows(project).values()] == ["current", "current"]


def test_of_runs_that_work_at_once_none_writes_it_and_one_run_of_its_own_does_after_the_last(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.start_run(dg.DagsterRunStatus.STARTED, {"dagster/partition": keys[1]})
    (other,) = project.instance.get_runs()

    assert project.run(keys[0]).success
    assert not (project.home / "out/manifest").exists()
    assert project.tick(sensor="results_after_runs").skip_message == "Waiting for the end of 1 image run."

    project.instance.report_run_canceled(other)
    (request,) = project.tick(sensor="results_after_runs").run_requests or ()
    assert request.job_name in (None, "write_results")
    assert request.run_key
    assert project.execute(project.defs().resolve_job_def("write_results")).success
    assert [row["state"] for row in rows(project).values()] == ["current", "missing"]
    assert (project.home / "out/gallery/index.html").is_file()
    said = "The manifest has every image run; a gallery that is older: materialize `gallery`."
    assert project.tick(sensor="results_after_runs").skip_message == said


def test_what_a_run_left_while_it_was_being_written_is_still_to_be_written(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.start_run(dg.DagsterRunStatus.STARTED, {"dagster/partition": keys[1]})
    (other,) = project.instance.get_runs()
    read_before = project.materialize("results_manifest")
    project.run(keys[0])
    project.instance.report_run_canceled(other)

    (slow,) = project.logged(read_before)
    project.instance.report_runless_asset_event(dg.AssetMaterialization(MANIFEST, tags=slow.tags))

    assert project.tick(sensor="results_after_runs").run_requests


def test_a_run_whose_process_is_dead_is_not_waited_for(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    dead = project.leave_dead_run(keys[1])

    assert project.run(keys[0]).success

    assert [row["state"] for row in rows(project).values()] == ["current", "missing"]
    found = project.instance.get_run_by_id(dead)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.FAILURE


def test_a_run_that_is_stopped_rewrites_it_also_where_others_wait(project: Project) -> None:
    keys = project.write_many(3)
    project.look()
    project.start_run(dg.DagsterRunStatus.QUEUED, {"dagster/partition": keys[2]})

    project.run(keys[0], keys[1], max_images=1)

    assert sorted(row["state"] for row in rows(project).values()) == ["current", "missing", "missing"]


def test_it_is_rewritten_after_a_run_that_a_cap_stopped(project: Project) -> None:
    keys = project.write_many(3)
    project.look()

    project.run(keys[0], keys[-1], max_images=1)

    assert sorted(row["state"] for row in rows(project).values()) == ["current", "missing", "missing"]


def test_materializing_it_rewrites_it_and_says_where_it_lies(project: Project) -> None:
    keys = project.write_many(2)
    project.look()
    project.run(*keys)
    project.remove(keys[0])
    project.look()

    run = project.materialize("results_manifest")

    assert list(rows(project)) == [keys[1]]
    metadata = project.events(run, MANIFEST)[None].metadata
    assert metadata["dagster/row_count"] == 1
    for kind in ("parquet", "csv", "json", "db"):
        assert metadata[f"path_{kind}"] == str(project.home / f"out/manifest/results.{kind}")


def test_without_any_prompt_it_is_empty_and_readable(project: Project) -> None:
    assert project.materialize("results_manifest").success

    assert rows(project) == {}
    assert list(pd.read_parquet(project.home / "out/manifest/results.parquet").columns) == list(COLUMNS)
