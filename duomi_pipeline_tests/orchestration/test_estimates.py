"""What Dagster shows of the money before it is spent: in the log of a run, and in that of a sensor's tick."""

import pytest

from duomi_pipeline_tests.orchestration.harness import ONE_MODEL, OTHER_MODEL, Project

LINES = [f"2 pictures with {ONE_MODEL}: 0.20 CNY", f"1 picture with {OTHER_MODEL}: 0.10 CNY"]


@pytest.fixture
def project(project: Project) -> Project:
    """Three prompts, one of which wants another model; a picture has a price."""
    project.configure(price_per_image=0.1)
    project.write_many(2)
    project.write("p99", generation={"model": OTHER_MODEL})
    return project


def said(project: Project, run_id: str) -> list[tuple[str, str]]:
    """Level and text of what a run says itself, in order, up to its first picture."""
    found = []
    for entry in project.instance.all_logs(run_id):
        if entry.is_dagster_event and entry.get_dagster_event().is_step_materialization:
            break
        if not entry.is_dagster_event:
            found.append(("WARNING" if entry.level == 30 else "INFO", entry.user_message))
    return found


def test_a_run_says_at_its_start_what_it_costs_by_model(project: Project) -> None:
    keys = project.look()

    run = project.run(keys[0], keys[-1], job="generate_missing_images")

    assert [text for _, text in said(project, run.run_id)][:3] == [
        *LINES,
        f"Time: not known, no recent run with {ONE_MODEL}, {OTHER_MODEL} to go by",
    ]
    again = project.run(keys[0], keys[-1])
    assert said(project, again.run_id) == [], "what is reused costs nothing"


def test_a_run_that_costs_more_than_usual_warns_and_goes_on(project: Project) -> None:
    keys = project.look()
    project.run(keys[0])
    project.configure(warn_spend_per_run=0.15)

    run = project.run(keys[1], keys[-1])

    assert ("WARNING", "This costs 0.20 CNY, more than DUOMI_WARN_SPEND_PER_RUN=0.15.") in said(project, run.run_id)
    assert run.success
    assert len(project.posts()) == 3


def test_a_tick_says_what_the_runs_that_it_asks_for_cost(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.configure(warn_spend_per_run=0.15)

    tick = project.tick()

    assert len(tick.run_requests or ()) == 1
    assert project.posts() == []
    told = capsys.readouterr().err
    assert all(f"INFO - {line}\n" in told for line in LINES)
    assert "WARNING - This costs 0.30 CNY, more than DUOMI_WARN_SPEND_PER_RUN=0.15.\n" in told


def test_a_tick_that_asks_for_nothing_tells_no_cost(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    keys = project.look()
    project.run(keys[0], keys[-1])
    capsys.readouterr()

    assert not project.tick().run_requests

    assert "pictures with" not in capsys.readouterr().err
