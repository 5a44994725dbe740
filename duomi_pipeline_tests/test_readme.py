"""Every command of the README does what it says, in a copy of the project as a user has it after cloning."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from duomi_pipeline_tests.cli import quick
from duomi_pipeline_tests.processes import started

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
SHELL_LINES = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
TABLE_COMMANDS = sorted(set(re.findall(r"`(duomi [a-z][^`]*)`", README)) - {"duomi COMMAND --help"})
EXITS = {"duomi lint --diff": 1}  # some sample prompts are Chinese, which the default model does not read: it says so
# `make test` is what runs this test; `make dev` is looked at on its own below, the served gallery by its own tests.
RUN_ELSEWHERE = {"make test", "make dev", "duomi gallery --serve"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files, with this environment in place of one that `make` would install."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    (folder / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name != ".installed":
            (folder / ".venv" / path.name).symlink_to(path)
    (folder / ".venv" / ".installed").touch()  # tells make that the installation is done
    return folder


def environment(clone: Path) -> Mapping[str, str]:
    env = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "DUOMI_HOME")}
    env.pop("MAKEFLAGS", None)  # of the `make` that runs these tests
    return {**env, "PATH": f"{clone / '.venv' / 'bin'}:{env['PATH']}"}  # make sets DAGSTER_HOME


def shell(clone: Path, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line, shell=True, cwd=clone, env=environment(clone), capture_output=True, text=True, timeout=100, check=False
    )


def test_make_demo_makes_all_sample_pictures_and_says_where_they_are(clone: Path) -> None:
    run = shell(clone, "make demo")
    assert run.returncode == 0, run.stderr
    assert "26 generated" in run.stdout
    assert str(clone / "out" / "generated_images") in run.stdout
    assert "make dev" in run.stdout
    assert len(list((clone / "out" / "generated_images").glob("*.png"))) == 26
    assert "26 reused" in shell(clone, "make demo").stdout


@pytest.mark.parametrize("line", [line for line in SHELL_LINES if line not in RUN_ELSEWHERE])
def test_a_command_of_the_readmes_blocks_works(clone: Path, line: str) -> None:
    run = shell(clone, line)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("line", [line for line in TABLE_COMMANDS if line not in RUN_ELSEWHERE])
def test_a_command_of_the_readmes_tables_works(clone: Path, line: str) -> None:
    (clone / "duomi-marks.json").write_text('{"picks": [], "rejects": ["db_2"], "pictures": {}}')
    line = line.replace("why ID", "why db_1").replace("FILE.png", "out/generated_images/*.png")
    run = quick.shared().shell(line, clone, environment(clone))
    assert run.returncode == EXITS.get(line, 0), run.stderr


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_a_link_of_the_readme_leads_to_a_file(link: str) -> None:
    assert (PROJECT / link).is_file()


def test_make_dev_serves_the_ui_with_all_assets_and_no_load_error(clone: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = clone / "dev.log"
    line = ["make", "dev", f"PORT={port}"]
    with (
        log.open("wb") as output,
        started(line, cwd=clone, env=environment(clone), stdout=output, stderr=output) as server,
    ):
        assets = _assets(f"http://127.0.0.1:{port}/graphql", server)
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=60)
    assert assets == {"prompt_table", "prompt_files", "prompts", "generated_images", "results_manifest", "gallery"}
    assert "BetaWarning" not in log.read_text()


def _assets(url: str, server: subprocess.Popen[bytes]) -> set[str]:
    """The assets that the UI knows, once it answers."""
    query = (
        "{ assetNodes { assetKey { path } } workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            found = requests.post(url, json={"query": query}, timeout=10).json()["data"]
        except (requests.RequestException, ValueError, KeyError):
            time.sleep(0.5)
            continue
        if found["assetNodes"]:
            return {node["assetKey"]["path"][-1] for node in found["assetNodes"]}
        time.sleep(0.5)
    raise AssertionError("the UI did not answer")
