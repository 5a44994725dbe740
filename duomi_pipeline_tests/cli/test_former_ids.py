"""Homes of 0.1, whose files with names in other scripts have ids in ASCII: all goes on under them, and nothing is bought."""

import json
from pathlib import Path

import dagster as dg
import pytest

from duomi_pipeline.orchestration.instance import open_instance
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.prompts.prompt import former_file_prompt_id
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.cli.harness import pictures, write_prompts
from duomi_pipeline_tests.cli.quick import duomi

NAMES = ("城市_20260111", "夜市，雨", "café")
OF_NAME = {name: former_file_prompt_id(name) for name in NAMES}


@pytest.fixture
def old_home(home: Path, sandbox: SandboxServer) -> Path:
    """What 0.1 left: pictures, records, overrides and partitions under former ids, seeds derived from these."""
    with (home / "duomi.toml").open("a") as settings:
        settings.write('seed = "per-prompt"\n')
    folder = home / "out" / "prompt_json"
    stems = {name: prompt_id.removeprefix("json_") for name, prompt_id in OF_NAME.items()}
    write_prompts(home, {stem: f"A street, {name}" for name, stem in stems.items()})
    (home / "out" / "overrides.json").write_text(json.dumps({OF_NAME["café"]: {"seed": 77}}))
    assert duomi(home, "generate").returncode == 0
    for name, stem in stems.items():
        (folder / f"{stem}.json").rename(folder / f"{name}.json")
    (home / "out" / "prompt_files.db").unlink(missing_ok=True)
    assert sandbox.books.totals().posts == 7
    return home


def states(home: Path, *arguments: str) -> dict[str, str]:
    """State of each prompt, as `duomi generate` says it."""
    answer = json.loads(duomi(home, "generate", "--json", *arguments).stdout)
    return {result["prompt_id"]: result["state"] for result in answer["results"]}


def partitions(home: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    monkeypatch.setenv("DAGSTER_HOME", str(home / ".dagster_home"))
    with open_instance(Settings.load(home)) as instance:
        return set(instance.get_dynamic_partitions(PARTITIONS_NAME))


def materialized(home: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    monkeypatch.setenv("DAGSTER_HOME", str(home / ".dagster_home"))
    with open_instance(Settings.load(home)) as instance:
        return instance.get_materialized_partitions(dg.AssetKey("generated_images"))


def test_they_are_current_under_their_ids_and_nothing_is_sent(
    old_home: Path, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = partitions(old_home, monkeypatch), materialized(old_home, monkeypatch)
    assert "json_boat" in before[0]
    found = states(old_home)
    assert found == dict.fromkeys(["json_boat", "json_fox", "json_market", "json_tower", *OF_NAME.values()], "current")
    assert states(old_home, "--dry-run") == found
    assert "There is no prompt" not in duomi(old_home, "lint", "--prompt-id", OF_NAME["café"]).stderr
    assert duomi(old_home, "gallery").returncode == 0
    assert sandbox.books.totals().posts == 7
    assert (partitions(old_home, monkeypatch), materialized(old_home, monkeypatch)) == before
    told = json.loads(duomi(old_home, "why", OF_NAME["café"], "--json").stdout)
    assert (told["origin"], told["overrides"], len(told["pictures"])) == ("café.json", {"seed": 77}, 1)


@pytest.mark.parametrize("first", [["generate", "--json"], ["plan"], ["ledger", "rebuild"], ["lint"]])
def test_a_lost_ledger_is_rebuilt_under_their_ids(old_home: Path, sandbox: SandboxServer, first: list[str]) -> None:
    for file in (old_home / "out").glob("ledger.db*"):
        file.unlink()
    duomi(old_home, *first)
    found = states(old_home)
    assert {prompt_id for prompt_id in found if prompt_id in OF_NAME.values()} == set(OF_NAME.values())
    assert set(found.values()) == {"current"}
    assert sandbox.books.totals().posts == 7


def test_a_file_that_cannot_be_read_now_is_not_retired(
    old_home: Path, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old_home / "out" / "prompt_json" / "café.json").write_text("{}")
    duomi(old_home, "generate")
    assert OF_NAME["café"] in partitions(old_home, monkeypatch)
    write_prompts(old_home, {"café": "A street, café"})
    assert states(old_home)[OF_NAME["café"]] == "current"
    assert sandbox.books.totals().posts == 7


def test_a_new_file_beside_them_has_an_id_that_can_be_read(
    old_home: Path, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_prompts(old_home, {"灯塔_1": "A lighthouse"})
    found = states(old_home)
    assert found["json_灯塔_1"] == "current"
    assert set(OF_NAME.values()) < set(found)
    assert "json_灯塔_1" in materialized(old_home, monkeypatch)
    assert [name[:5] for name in pictures(old_home) if name.startswith("灯塔")] == ["灯塔_1_"]
    assert sandbox.books.totals().posts == 8
    for file in (old_home / "out").glob("ledger.db*"):  # its picture says whose it is, too
        file.unlink()
    assert states(old_home) == found
    assert sandbox.books.totals().posts == 8
