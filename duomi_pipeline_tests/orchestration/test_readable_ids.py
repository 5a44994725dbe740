"""Prompt ids in any script as Dagster's partition keys: looked at, backfilled, in ranges of runs, and shown."""

import unicodedata

from duomi_pipeline_tests.orchestration.harness import Project, added

STEMS = ("城市_20260111", "Ωmega", "एक_नाव", "قارب", "a" + "城" * 64)


def test_a_sensor_adds_them_and_their_runs_make_pictures(project: Project) -> None:
    keys = [project.write(stem) for stem in STEMS]

    tick = project.tick()
    assert set(added(tick)) == set(keys)
    project.obey(tick)
    order = project.partitions()
    project.run(order[0], order[-1])

    assert project.materialized_and_failed() == (set(keys), set())
    assert set(project.staleness(keys).values()) == {"FRESH"}
    assert len(project.posts()) == len(keys)


def test_a_backfill_of_some_is_a_backfill_of_these(project: Project) -> None:
    keys = sorted(project.write(stem) for stem in STEMS)
    project.look()

    status, _ = project.backfill(keys[:2])

    assert status == "COMPLETED_SUCCESS"
    assert project.materialized_and_failed()[0] == set(keys[:2])


def test_a_name_as_macs_write_it_has_an_id_of_its_own(project: Project) -> None:
    project.write("café")
    project.write(unicodedata.normalize("NFD", "café"))

    composed, decomposed = sorted(project.look())

    assert composed == "json_café"
    assert decomposed.startswith("json_café-")
    project.run(composed)
    project.run(decomposed)
    assert project.materialized_and_failed() == ({composed, decomposed}, set())
