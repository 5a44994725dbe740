"""What a person chooses for one partition in the UI is the prompt's own from then on."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from duomi_pipeline.orchestration.assets.images_config import ImagesConfig
from duomi_pipeline.orchestration.jobs import images_config
from duomi_pipeline.prompts.overrides import read_overrides
from duomi_pipeline_tests.orchestration.harness import OTHER_MODEL, Project, failure_text


def materialize(project: Project, key: str, **config: Any) -> dg.ExecuteInProcessResult:
    """One partition, as the UI starts it with a config from the launchpad."""
    job = project.defs().resolve_job_def("regenerate_images")
    return project.execute(job, run_config=images_config(ImagesConfig(**config)), partition_key=key)


def recorded(project: Project) -> dict[str, Any]:
    found = read_overrides(project.settings().path(project.settings().overrides_file)).by_id
    return {key: parameters.explicit() for key, parameters in found.items()}


def picture(project: Project, run: dg.ExecuteInProcessResult, key: str) -> str:
    assert run.success, failure_text(run)
    return Path(str(project.events(run)[key].metadata["path"])).name


def test_a_forced_run_of_one_partition_makes_its_parameters_the_prompts_own(project: Project) -> None:
    key, other = project.write("p"), project.write("q")
    project.look()
    project.run(key, other)

    asked = picture(project, materialize(project, key, force=True, seed=42, model=OTHER_MODEL), key)

    assert recorded(project) == {key: {"seed": 42, "model": OTHER_MODEL}}
    again = project.run(key, other)
    assert (picture(project, again, key), len(project.posts())) == (asked, 3)
    assert project.staleness([key]) == {key: "FRESH"}


def test_a_forced_run_of_a_range_or_without_force_records_nothing(project: Project) -> None:
    key = project.write("p")
    project.look()
    project.run(key, force=True, seed=42)
    materialize(project, key, seed=43)
    assert recorded(project) == {}


@pytest.mark.parametrize("by", ["number", "name"])
def test_keep_makes_an_earlier_picture_the_prompts_own_and_buys_nothing(project: Project, by: str) -> None:
    key = project.write("p")
    project.look()
    first = picture(project, project.run(key), key)
    materialize(project, key, force=True, seed=42)

    kept = materialize(project, key, keep="1" if by == "number" else first, force=True)

    assert (picture(project, kept, key), len(project.posts())) == (first, 2)
    assert picture(project, project.run(key), key) == first
    assert project.staleness([key]) == {key: "FRESH"}


def test_what_cannot_be_kept_fails_with_its_reason_and_sends_nothing(project: Project) -> None:
    key, other = project.write("p"), project.write("q")
    project.look()
    project.run(key)
    project.write("p", "another text")
    project.look()
    assert "made from another text" in failure_text(materialize(project, key, keep="1"))
    assert "has no version 7" in failure_text(materialize(project, key, keep="7"))
    assert "run of one partition" in failure_text(project.run(key, other, keep="1"))
    assert (len(project.posts()), recorded(project)) == (1, {})


def test_a_worker_that_does_not_read_the_source_buys_nothing(project: Project, tmp_path: Path) -> None:
    key = project.write("p")
    project.look()
    project.configure(prompt_dir=str(tmp_path / "nowhere"))
    run = materialize(project, key, force=True, seed=42)
    assert "does not read the prompt's source" in failure_text(run)
    assert project.posts() == []
