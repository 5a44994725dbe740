"""`duomi manifest`: what it prints, and when it refuses."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from duomi_pipeline.cli.manifest import manifest
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.manifest.harness import query, seed_database


@pytest.fixture(autouse=True)
def _here(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUOMI_HOME", str(home.path))


def run() -> Result:
    return CliRunner().invoke(manifest)


def test_it_prints_the_paths_of_its_files(home: Home) -> None:
    home.write("fox", "A fox")

    told = run()

    assert told.exit_code == 0, told.output
    paths = [Path(line) for line in told.stdout.splitlines()]
    assert [path.name for path in paths] == [
        "results.parquet",
        "results.csv",
        "results.json",
        "results.db",
    ]
    assert all(path.parent == home.path / "out/manifest" and path.is_file() for path in paths)


def test_it_names_on_stderr_what_gives_no_row(home: Home) -> None:
    home.write("fox", "A fox")
    home.write("empty", "  ")
    os.utime(home.path / "out/prompt_json/empty.json", (0, 0))

    told = run()

    assert 'Left out: empty.json: "image_prompt" is empty' in told.stderr
    assert query(home.path / "out/manifest/results.db", "SELECT prompt_id FROM results") == [("json_fox",)]


def test_it_refuses_while_a_source_with_pictures_that_nobody_saw_cannot_be_read(home: Home) -> None:
    database = seed_database(home, ["A boat"])
    home.run()
    database.rename(database.with_suffix(".away"))

    told = duomi(home.path, "manifest")

    assert (told.returncode, told.stdout) == (2, "")
    assert "The manifest was not changed: No database at" in told.stderr
    assert not (home.path / "out/manifest").exists()


def test_of_a_source_that_was_seen_and_cannot_be_read_now_the_rows_stay(home: Home) -> None:
    database = seed_database(home, ["A boat"])
    home.run()
    assert duomi(home.path, "manifest").returncode == 0
    before = query(home.path / "out/manifest/results.db", "SELECT * FROM results")
    database.rename(database.with_suffix(".away"))

    told = duomi(home.path, "manifest")

    assert told.returncode == 0
    assert "Left out: source: No database at" in told.stderr
    assert query(home.path / "out/manifest/results.db", "SELECT * FROM results") == before


def test_a_folder_that_cannot_be_written_is_named_without_a_traceback(home: Home) -> None:
    (home.path / "out").mkdir()
    (home.path / "out/manifest").write_text("a file")

    told = duomi(home.path, "manifest")

    assert told.returncode == 2
    assert "The manifest cannot be written" in told.stderr
    assert "out/manifest" in told.stderr
    assert "Traceback" not in told.stderr


def test_help_shows_examples() -> None:
    told = CliRunner().invoke(manifest, ["--help"])

    assert "Examples:\n    duomi manifest\n" in told.output
    assert "generated_images" in told.output
