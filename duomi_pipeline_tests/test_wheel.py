"""Installed, not only cloned: the wheel in an environment of its own, outside of the clone."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

PROJECT = Path(__file__).parents[1]
ASSETS = {"prompt_table", "prompt_files", "prompts", "generated_images", "results_manifest", "gallery"}
ONE = ("generate", "--source", "prompt", "--prompt", "a lighthouse", "--image-size", "72x128")
# Program and home stand in folders whose names mean something in a URL, a shell, and alembic's configuration.
PROGRAM = "program 50%25 #1? 图片"
HOME = "home 100% #1? 图片"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of what is committed here; building it asks PyPI for setuptools."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(source)], check=True)
    line = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*line, "--wheel-dir", str(folder), str(source)], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that has the wheel; the packages it needs are links to those of this one."""
    folder = tmp_path_factory.mktemp("installed") / PROGRAM
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    here = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    for needed in here.iterdir():
        if "duomi" not in needed.name and needed.suffix != ".pth" and not (packages / needed.name).exists():
            (packages / needed.name).symlink_to(needed)
    line = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet", "--no-deps"]
    # Not with the PYTHONPATH of whoever runs this: pip would take a clone that is on it for the installed package.
    line = [*line, "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run(line, env=environment(folder), check=True)
    return folder / "bin"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside") / HOME
    (folder / "data").mkdir(parents=True)
    shutil.copy(PROJECT / "data" / "llm_video_batch.db", folder / "data")
    return folder


def environment(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **more}


def run(commands: Path, home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    line = [str(commands / "duomi"), *words]
    return subprocess.run(
        line, cwd=home, env=environment(home), capture_output=True, text=True, timeout=90, check=False
    )


def test_the_wheel_has_the_package_and_its_data_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"duomi_pipeline"}
    assert {"duomi_pipeline/orchestration/dagster.yaml", "duomi_pipeline/duomi/models.toml"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("OFL.txt") for name in names)


def test_the_installed_command_is_the_wheels_and_has_help(commands: Path, home: Path) -> None:
    shown = run(commands, home, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "generate" in shown.stdout

    line = [str(commands / "python"), "-c", "import duomi_pipeline, dagster; print(duomi_pipeline.__file__)"]
    found = subprocess.run(line, cwd=home, env=environment(home), capture_output=True, text=True, check=True)
    assert PROGRAM in found.stdout


def test_it_makes_pictures_and_finds_itself_healthy_with_dagsters_settings_in_force(commands: Path, home: Path) -> None:
    made = run(commands, home, *ONE)
    assert made.returncode == 0, made.stderr
    assert len(list((home / "out" / "generated_images").glob("*.png"))) == 1
    assert "No dagster instance configuration file" not in made.stderr
    assert not (home / ".dagster_home" / ".telemetry").exists()

    doctor = run(commands, home, "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "ledger: " in doctor.stdout
    assert "1 current" in doctor.stdout
    assert [path.name for path in home.parent.iterdir()] == [HOME]


def test_dagster_dev_lists_the_assets_without_telemetry_and_with_the_pool_limit(commands: Path, home: Path) -> None:
    assert run(commands, home, *ONE).returncode == 0  # makes the home of Dagster ready

    with dagster_dev(commands, home) as ask:
        found = ask(
            "{ assetNodes { assetKey { path } isMaterializable partitionStats { numMaterialized } }"
            " instance { info poolConfig { defaultPoolLimit poolGranularity } } }"
        )

    assert {node["assetKey"]["path"][-1] for node in found["assetNodes"]} == ASSETS
    (images,) = (node for node in found["assetNodes"] if node["assetKey"]["path"] == ["generated_images"])
    assert images["partitionStats"]["numMaterialized"] == 1
    assert found["instance"]["poolConfig"] == {"defaultPoolLimit": 1, "poolGranularity": "run"}
    assert "telemetry:\n  enabled: false" in found["instance"]["info"]
    assert not (home / ".dagster_home" / ".telemetry").exists()
    assert [path.name for path in home.parent.iterdir()] == [HOME]


@contextlib.contextmanager
def dagster_dev(commands: Path, home: Path) -> Iterator[Any]:
    """Dagster's UI in a home; gives a function that asks it. All its processes have ended when the block has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    line = [str(commands / "python"), "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    log = home / "dev.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*line, "--module-name", "duomi_pipeline.definitions"],
            cwd=home,
            env=environment(home, DAGSTER_HOME=str(home / ".dagster_home")),
            stdout=output,
            stderr=output,
            start_new_session=True,
            # Whoever started this test may ignore SIGINT; Dagster would then ignore SIGTERM, too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )

    def ask(query: str) -> Any:
        answer = requests.post(f"http://127.0.0.1:{port}/graphql", json={"query": query}, timeout=30).json()
        assert "errors" not in answer, answer
        return answer["data"]

    try:
        _wait(lambda: ask("{ assetNodes { id } }")["assetNodes"], log)
        yield ask
        server.terminate()
        server.wait(timeout=60)
        _wait(lambda: not _is_there(server.pid), log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(timeout=10)


def _wait(until: Any, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException):
            if until():
                return
        time.sleep(0.3)
    raise AssertionError(log.read_text(encoding="utf-8"))


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
