"""A folder with 30 bad files among 40 good ones: 40 pictures, 30 named reasons, exit 0, in every place that tells."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from duomi_pipeline.cli import cli
from duomi_pipeline.orchestration.build import build_defs
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import pictures
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.manifest.harness import query
from duomi_pipeline_tests.prompts.harness import PROMPTS
from duomi_pipeline_tests.prompts.test_json_files import UNREADABLE, UNUSABLE

GOOD = 40
BAD = 30
ODD_NAMES = ("\x1b]0;owned\x07", "$(touch owned);`id`", "=1+1", "\u202egnp", "<script>alert(1)<", "'; DROP TABLE prompts; --", "a\nb", "x" * 245)  # fmt: skip


def fill(folder: Path) -> None:
    """Write good and bad files."""
    shutil.copytree(PROMPTS, folder)
    for number in range(GOOD - len(list(folder.iterdir()))):
        (folder / f"good_{number}.json").write_text(f'{{"image_prompt": "A quiet harbour, boat {number}"}}')
    contents = [content for content, _ in {**UNREADABLE, **UNUSABLE}.values()]
    names = [*ODD_NAMES, *(f"bad_{number}" for number in range(BAD - 3 - len(ODD_NAMES)))]
    for name, content in zip(names, contents, strict=False):
        path = folder / f"{name}.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        os.utime(path, (0, 0))
    (folder / "bad_folder.json").mkdir()
    (folder / "bad_link.json").symlink_to("bad_link.json")
    os.mkfifo(folder / "bad_pipe.json")


@pytest.fixture(scope="module")
def service() -> Iterator[SandboxServer]:
    with SandboxServer(faults=Faults(picture="flat", image_size="108x192")) as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, service: SandboxServer) -> Path:
    path = tmp_path_factory.mktemp("home")
    (path / "duomi.toml").write_text(f'base_url = "{service.url}"\nimage_size = "108x192"\nmax_concurrency = 8\n')
    return path


@pytest.fixture(scope="module")
def told(home: Path) -> dict[str, object]:
    """What `duomi generate --json` said of the folder, with its messages and its exit code."""
    fill(home / "out/prompt_json")
    run = duomi(home, "generate", "--json")
    answer = json.loads(run.stdout)
    return {"code": run.returncode, "stderr": run.stderr, "stdout": run.stdout, "answer": answer}


def reasons(rows: list[dict[str, str]]) -> dict[str, str]:
    """Reasons by file."""
    return {row["origin"]: row["reason"] for row in rows}


def test_every_good_file_is_a_picture_and_every_bad_one_a_line(home: Path, told: dict[str, object]) -> None:
    assert told["code"] == 0, told["stderr"]
    assert len(pictures(home)) == GOOD
    lines = [line for line in str(told["stderr"]).splitlines() if line.startswith("Left out: ")]
    assert len(lines) == BAD
    assert all(line.isprintable() for line in lines)
    assert sorted(path.name for path in home.iterdir()) == [".dagster_home", "duomi.toml", "logs", "out"]


def test_json_names_them_and_holds_nothing_that_a_terminal_obeys(told: dict[str, object]) -> None:
    answer = json.loads(str(told["stdout"]))
    assert answer["counts"]["generated"] == GOOD
    assert (answer["counts"]["failed"], answer["counts"]["remaining"]) == (0, 0)
    found = reasons(answer["left_out"])
    assert len(found) == BAD
    assert all(found.values())
    assert answer["receipt"]["left_out"] == BAD
    joined = "👩‍🍳"  # of two signs and one that no terminal shows, nor obeys
    assert str(told["stdout"]).replace("\n", "").replace(joined, "").isprintable()


def test_the_manifest_has_the_pictures_and_names_the_others(home: Path, told: dict[str, object]) -> None:
    folder = home / "out/manifest"
    rows = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert [row["state"] for row in rows] == ["current"] * len(rows)
    assert len(rows) == GOOD
    named = reasons(json.loads((folder / "left_out.json").read_text(encoding="utf-8")))
    assert named == reasons(json.loads(str(told["stdout"]))["left_out"])
    assert dict(query(folder / "results.db", "SELECT * FROM left_out WHERE origin <> 'source'")) == named


@pytest.mark.usefixtures("told")
def test_the_ui_names_them_and_the_sensor_goes_on(home: Path, service: SandboxServer) -> None:
    posts = service.books.totals().posts
    defs = build_defs(home)
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        run = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("prompt_files")])
        (event,) = run.get_asset_materialization_events()
        said = {name: value.value for name, value in event.materialization.metadata.items()}
        assert said["left_out"] == BAD
        table = str(said["left_out_because"]).splitlines()
        assert len(table) == 2 + BAD
        assert all(line.startswith("| ") and line.endswith(" |") and "<" not in line for line in table[2:])
        assert len([e for e in instance.all_logs(run.run_id) if e.user_message.startswith("Left out: ")]) == BAD
    assert service.books.totals().posts == posts


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("command", ["plan", "status", "doctor", "manifest"])
def test_no_command_shows_a_name_that_a_terminal_obeys(
    home: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("DUOMI_HOME", str(home))
    (home / "out/generated_images/foreign \x1b[2J.png").write_bytes(b"no picture")
    run = CliRunner().invoke(cli, [command])
    assert (run.stdout + run.stderr).replace("\n", "").isprintable()
    assert run.stderr.count("Left out: ") >= BAD
