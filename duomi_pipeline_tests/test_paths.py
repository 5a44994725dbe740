"""Folders whose names mean something elsewhere: in a URL, a shell, a pattern. Nothing arises beside them."""

from pathlib import Path

import pytest

from duomi_pipeline_tests.cli.quick import duomi

ONE = ("generate", "--source", "prompt", "--prompt", "a lighthouse", "--image-size", "72x128")
NAMES = ["a b", "100%", "100%25 %(here)s", "what?", "a?mode=memory&uri=true", "#1", "图片", "1 50% ? #2 图片"]


@pytest.mark.parametrize("name", NAMES)
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    home.mkdir()

    made = duomi(home, *ONE)
    assert made.returncode == 0, made.stderr
    status = duomi(home, "status")
    assert "1  current" in status.stdout, status.stdout + status.stderr
    again = duomi(home, *ONE)
    assert "1 reused" in again.stdout, again.stdout + again.stderr
    doctor = duomi(home, "doctor")
    assert "BAD" not in doctor.stdout.replace("BAD  No database", ""), doctor.stdout

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert {path.name for path in home.iterdir()} == {".dagster_home", "logs", "out"}
    history = {str(path.relative_to(home / ".dagster_home")) for path in (home / ".dagster_home").rglob("*.db")}
    assert history >= {"history/runs.db", "history/runs/index.db", "schedules/schedules.db"}
    assert (home / "out" / "ledger.db").is_file()


def test_dagsters_own_limit_is_named_and_there_is_a_way_around_it(tmp_path: Path) -> None:
    home = tmp_path / "[1]"
    home.mkdir()

    refused = duomi(home, *ONE)
    assert refused.returncode == 2
    assert "Dagster takes [ and ] in a folder's name for a pattern" in refused.stderr

    assert duomi(home, *ONE, DAGSTER_HOME=str(tmp_path / "dagster")).returncode == 0


@pytest.mark.parametrize("url", ["memory://pictures", "memory://bucket/a b?/#1"])
def test_a_store_that_is_no_folder_makes_none(tmp_path: Path, url: str) -> None:
    for line in (ONE, ("status",), ("doctor",), ("manifest",), ("gallery",)):
        ran = duomi(tmp_path, *line, DUOMI_IMAGE_DIR=url)
        assert "Traceback" not in ran.stderr, ran.stderr

    assert {path.name for path in tmp_path.iterdir()} == {".dagster_home", "logs", "out"}
    assert not [path for path in tmp_path.rglob("*") if ":" in path.name or path.name == "bucket"]
