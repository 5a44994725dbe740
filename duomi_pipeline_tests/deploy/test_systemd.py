"""deploy/systemd: systemd takes the units, they are hardened alike, and start what is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from duomi_pipeline_tests.deploy.files import DEPLOY, check_settings, environment_file, read

FOLDER = DEPLOY / "systemd"
UNITS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".service", ".timer"))


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the commands of this environment in place of those in /opt."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    copy = shutil.copytree(FOLDER, tmp_path / "units")
    for unit in copy.glob("*.service"):
        unit.write_text(unit.read_text().replace("/opt/duomi/bin/", f"{Path(sys.executable).parent}/"))
    return copy


def analyze(units: Path, *line: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"}
    return subprocess.run(["systemd-analyze", *line], env=env, cwd=units, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", [path.name for path in UNITS])
def test_systemd_has_nothing_to_say_of_a_unit(units: Path, unit: str) -> None:
    name = unit.replace("@.", "@1.")
    run = analyze(units, "verify", "--man=no", f"./{name}")
    assert run.returncode == 0
    assert name not in run.stderr, run.stderr
    assert "duomi" not in run.stderr, run.stderr


@pytest.mark.parametrize("unit", [path.name for path in UNITS if path.suffix == ".service"])
def test_every_service_is_hardened(units: Path, unit: str) -> None:
    run = analyze(units, "security", "--offline=yes", "--threshold=20", unit.replace("@.", "@1."))
    assert run.returncode == 0, run.stdout.splitlines()[-1]


def test_the_metrics_may_write_where_they_are_told_to() -> None:
    unit = (FOLDER / "duomi-metrics.service").read_text()
    (folder,) = (line.partition("=")[2] for line in unit.splitlines() if line.startswith("ReadWritePaths="))
    assert f"--file {folder}/" in unit


def test_the_settings_take_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_settings(environment_file(FOLDER / "duomi.env.example"), tmp_path, monkeypatch)


def test_daemon_and_webserver_look_for_the_code_server_where_it_is() -> None:
    (location,) = read(FOLDER / "workspace.yaml")["load_from"]
    server = location["grpc_server"]
    code = (FOLDER / "duomi-code.service").read_text()
    assert f"--host {server['host']} --port {server['port']}" in code
    (in_compose,) = read(DEPLOY / "compose" / "workspace.yaml")["load_from"]
    command = read(DEPLOY / "compose" / "compose.yaml")["services"][in_compose["grpc_server"]["host"]]["command"]
    assert str(in_compose["grpc_server"]["port"]) in command
