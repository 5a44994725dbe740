"""deploy/compose: the file is one of its specification, fits together, and its scripts do what it asks of them."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.deploy.files import DEPLOY, PROJECT, VERSION, check_settings, environment_file, read
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.processes import started

FOLDER = DEPLOY / "compose"
COMPOSE = read(FOLDER / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_it_is_a_compose_file() -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema, which brings the schema, is not installed")
    line = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    run = subprocess.run([*line, str(FOLDER / "compose.yaml")], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_docker_compose_takes_it(tmp_path: Path) -> None:
    compose = ["docker", "compose"]
    if not shutil.which("docker") or subprocess.run([*compose, "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    copy = shutil.copytree(DEPLOY, tmp_path / "deploy")
    shutil.copy(copy / "compose/.env.example", copy / "compose/.env")
    run = subprocess.run(
        [*compose, "config", "--quiet"], cwd=copy / "compose", capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_every_image_is_pinned_and_ours_is_of_this_version() -> None:
    assert {service["image"] for service in OURS.values()} == {f"duomi-pipeline:{VERSION}"}
    for name, service in SERVICES.items():
        assert service["image"].rpartition(":")[2][0].isdigit(), name
    bases = [line for line in (FOLDER / "Dockerfile").read_text().splitlines() if line.startswith("FROM ")]
    assert {base.split()[1] for base in bases} == {"python:3.11.14-slim-bookworm"}
    assert "USER 10001:10001" in (FOLDER / "Dockerfile").read_text()


def test_nothing_but_the_bucket_runs_without_a_health_check_and_nothing_listens_beyond_this_machine() -> None:
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"bucket"}
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_service_of_ours_may_do_little_and_keeps_its_home() -> None:
    for name, service in OURS.items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        if name != "bucket":
            assert service["read_only"] is True, name
            assert service["volumes"][0].endswith(":/var/lib/duomi"), name


def test_secrets_stand_in_no_variable_and_each_has_its_file(tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path, "sk-mine")
    assert {one["file"] for one in COMPOSE["secrets"].values()} == {
        f"secrets/{path.name}" for path in secrets.iterdir()
    }
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if variable.endswith("_FILE"):
                assert Path(value).name in service["secrets"], (name, variable)
            assert "PASSWORD" not in variable.removesuffix("PASSWORD_FILE"), (name, variable)
    assert (secrets / "duomi_api_key").read_text() == "sk-mine"


def test_the_passwords_of_a_client_and_its_server_are_the_same_and_drawn_anew_each_time(tmp_path: Path) -> None:
    drawn = set()
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        secrets = make_secrets(tmp_path / str(number), "")
        text = {path.name: path.read_text() for path in secrets.iterdir()}
        for url in ("dagster_postgres_url", "duomi_ledger_url"):
            assert f":{text['postgres_password']}@postgres:5432/" in text[url]
        assert text["celery_broker_url"] == f"redis://:{text['redis.conf'].split()[1]}@redis:6379/0"
        keys = {one["name"]: one for one in json.loads(text["storage.json"])["identities"]}
        assert keys["duomi"]["credentials"][0]["secretKey"] == text["storage_key"]
        assert keys["administrator"]["credentials"][0]["secretKey"] == text["storage_administrator_key"]
        assert "Admin" not in keys["duomi"]["actions"], "the pipeline may make no bucket"
        assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
        drawn.add(text["postgres_password"])
    assert len(drawn) == 2


def test_secrets_that_are_there_are_not_drawn_again(tmp_path: Path) -> None:
    before = (make_secrets(tmp_path, "a") / "postgres_password").read_text()
    again = subprocess.run([tmp_path / "make_secrets.sh"], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "nothing was changed" in again.stderr
    assert (tmp_path / "secrets" / "postgres_password").read_text() == before


def test_the_settings_take_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = environment_file(FOLDER / ".env.example")
    assert example["DUOMI_IMAGE_RUNS"] == str(SERVICES["worker"]["deploy"]["replicas"])
    runs = read(DEPLOY / "dagster.yaml")["concurrency"]["runs"]["max_concurrent_runs"]
    assert runs >= SERVICES["worker"]["deploy"]["replicas"]
    given = {name.removesuffix("_FILE") for name in SERVICES["worker"]["environment"]}
    check_settings({**dict.fromkeys(given - set(example), ""), **example}, tmp_path, monkeypatch)


def test_the_entrypoint_reads_secrets_and_leaves_settings_that_are_files_alone(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("it's $HOME `id`\n")
    paths = {f"DUOMI_{name.upper()}" for name in Settings.model_fields if name.endswith("_file")}
    env = {"PATH": os.environ["PATH"], "DUOMI_API_KEY_FILE": str(tmp_path / "key"), **dict.fromkeys(paths, "/a/path")}
    run = entrypoint(env, "env")
    said = dict(line.split("=", 1) for line in run.stdout.splitlines())
    assert said["DUOMI_API_KEY"] == "it's $HOME `id`"
    assert "DUOMI_API_KEY_FILE" not in said
    assert {said[name] for name in paths} == {"/a/path"}


def test_a_secret_that_cannot_be_read_ends_the_start_with_its_name(tmp_path: Path) -> None:
    run = entrypoint({"PATH": os.environ["PATH"], "DUOMI_API_KEY_FILE": str(tmp_path / "gone")}, "env")
    assert run.returncode == 1
    assert f"DUOMI_API_KEY_FILE={tmp_path}/gone cannot be read" in run.stderr


def test_the_bucket_is_made_once_by_the_administrator(tmp_path: Path) -> None:
    pytest.importorskip("moto.server", reason="moto's S3 server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as found:
        url = f"http://127.0.0.1:{found.getsockname()[1]}"
    server = [str(Path(sys.executable).parent / "moto_server"), "-p", url.rpartition(":")[2]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with started(server, **quiet) as process:
        wait_until(lambda: answers(url))
        env = {
            **os.environ,
            **SERVICES["bucket"]["environment"],
            "AWS_ENDPOINT_URL": url,
            "AWS_SECRET_ACCESS_KEY": "any",
        }
        env["DUOMI_IMAGE_DIR"] = environment_file(FOLDER / ".env.example")["DUOMI_IMAGE_DIR"]
        assert requests.head(f"{url}/pictures", timeout=10).status_code == 404
        for said in ("made the bucket pictures", "the bucket pictures is there"):
            run = subprocess.run(
                [sys.executable, FOLDER / "make_bucket.py"], env=env, capture_output=True, text=True, check=True
            )
            assert run.stdout.strip() == said
        assert requests.head(f"{url}/pictures", timeout=10).status_code == 200
        process.terminate()


def test_the_image_gets_what_it_copies_and_nothing_else() -> None:
    let_in = {
        line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = set()
    for line in (FOLDER / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY") and "--from" not in line:
            copied |= {word for word in line.split()[1:-1] if not word.startswith("--")}
    assert copied == let_in
    assert all((PROJECT / path).exists() for path in copied)


def make_secrets(folder: Path, key: str) -> Path:
    """The folder of secrets that the script makes for a copy of itself."""
    script = shutil.copy(FOLDER / "make_secrets.sh", folder)
    subprocess.run([script], env={**os.environ, "DUOMI_API_KEY": key}, check=True, capture_output=True)
    return folder / "secrets"


def entrypoint(env: dict[str, str], *line: str) -> "subprocess.CompletedProcess[str]":
    """Run a line as the image does."""
    return subprocess.run([FOLDER / "entrypoint.sh", *line], env=env, capture_output=True, text=True, check=False)


def answers(url: str) -> bool:
    """Whether a server is there."""
    try:
        return bool(requests.get(url, timeout=5).status_code)
    except requests.ConnectionError:
        return False
