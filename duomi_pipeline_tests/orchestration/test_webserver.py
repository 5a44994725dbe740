"""`duomi webserver`: the UI alone, with a code server elsewhere, guarded as `duomi dev` is; read-only where asked."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from duomi_pipeline_tests.cli.harness import command, write_prompts
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.orchestration.test_dev import START_A_RUN
from duomi_pipeline_tests.orchestration.ui import RUNS
from duomi_pipeline_tests.processes import started

ASSETS = "{ assetsOrError { ... on AssetConnection { nodes { key { path } } } } }"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose `workspace.yaml` names a code server that runs."""
    folder = tmp_path_factory.mktemp("home")
    write_prompts(folder, {"boat": "A red boat"})
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    (folder / "elsewhere.yaml").write_text(
        f"load_from:\n- grpc_server: {{host: 127.0.0.1, port: {port}, location_name: duomi_pipeline}}\n"
    )
    _, env = command(folder, DUOMI_BASE_URL="sandbox")
    dagster = [str(Path(sys.executable).parent / "dagster"), "api"]
    server = [
        *dagster,
        "grpc",
        "--module-name",
        "duomi_pipeline.definitions",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    env = {**env, "DAGSTER_HOME": str(folder / ".dagster_home")}
    (folder / ".dagster_home").mkdir()
    with started(server, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        check = [*dagster, "grpc-health-check", "--port", str(port)]
        wait_until(lambda: subprocess.run(check, capture_output=True, env=env, check=False).returncode == 0)
        yield folder
        process.terminate()


@contextmanager
def served(home: Path, *flags: str) -> Iterator[str]:
    """The address of a `duomi webserver`, until the end of the block."""
    line, env = command(home, "webserver", "--port", "0", "--workspace", "elsewhere.yaml", *flags)
    with started(line, env=env, cwd=home, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert found
        yield found[0]
        process.terminate()
        process.wait(30)


def ask(url: str, query: str, origin: str | None = None) -> requests.Response:
    headers = {"Origin": origin or url, "Content-Type": "application/json"}
    return requests.post(f"{url}/graphql", json.dumps({"query": query}), headers=headers, timeout=60)


def data(url: str, query: str) -> Any:
    return ask(url, query).json()["data"]


def test_it_shows_the_assets_of_the_code_server_and_is_guarded(home: Path) -> None:
    with served(home) as url:
        assets = {node["key"]["path"][0] for node in data(url, ASSETS)["assetsOrError"]["nodes"]}
        assert {"generated_images", "results_manifest"} <= assets
        assert ask(url, START_A_RUN, origin="https://elsewhere.example").status_code == 403
        assert requests.get(f"{url}/server_info", timeout=60).ok, "what health checks ask for"
        assert data(url, RUNS)["runsOrError"]["results"] == []


def test_a_read_only_one_starts_nothing(home: Path) -> None:
    with served(home, "--read-only") as url:
        assert data(url, START_A_RUN)["launchRun"]["__typename"] == "UnauthorizedError"
        assert data(url, RUNS)["runsOrError"]["results"] == []
