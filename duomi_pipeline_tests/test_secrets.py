"""Passing and failing runs through every door, then a search of all that they leave: no key, no password, no webhook."""

import base64
import importlib
import io
import json
import os
import sqlite3
import stat
import subprocess
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest
from click.testing import CliRunner
from PIL import Image

from duomi_pipeline import definitions
from duomi_pipeline.cli import cli
from duomi_pipeline.cli.dev import dev
from duomi_pipeline.engine import Session
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import Settings, SettingsError
from duomi_pipeline_tests.cli.harness import command, duomi, pictures, write_prompts
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.orchestration.harness import Project
from duomi_pipeline_tests.processes import started

KEY = "sk-Kq7ZfindmeKEYx93vTb"
PASSWORD = "Pq7ZfindmePASSx93vTb"
HOOK = "T0Wq7ZfindmeHOOKx93vTb"
SECRETS = (KEY, PASSWORD, HOOK)
ENVIRONMENT = {"DUOMI_API_KEY": KEY, "DUOMI_WEBHOOK_URL": f"http://127.0.0.1:1/{HOOK}"}
REPO = Path(__file__).parents[1]


WORDS = f"Incorrect API key provided: {KEY}"
# Answers of a service that repeats the key: three that fail a prompt each, and one that stops the run.
ECHOES = (
    Answer(f"<html><title>{WORDS}</title>", 500),
    Answer(json.dumps({"code": KEY, "message": WORDS}), 451),
    Answer(f"Authorization: {KEY}", headers={"Retry-After": KEY, "X-Key": KEY}),
    Answer(json.dumps({"error": {"message": WORDS, "code": KEY}}), 401),
)


def found_in(folder: Path) -> list[tuple[str, str]]:
    """Files that hold a secret, and which: bytes as they stand, and every text of the databases."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes() + str(path).encode()
        if content.startswith(b"SQLite format 3\0"):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                content += "\n".join(db.iterdump()).encode("utf-8", "replace")  # a long text is split over pages
        found += [(str(path.relative_to(folder)), secret) for secret in SECRETS if secret.encode() in content]
    return found


def home_of(folder: Path, url: str) -> Path:
    """A home folder with four prompts that buys from a service, without waits."""
    home = folder / "home"
    home.mkdir()
    said = {"base_url": url, "image_size": "108x192", "max_attempts": 1, "ambiguous_retries": 0, "max_concurrency": 1}
    (home / "duomi.toml").write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in said.items()))
    write_prompts(home, {f"boat_{number}": f"Boat number {number}" for number in range(4)})
    return home


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(faults=Faults(picture="flat", api_key=KEY)) as server:
        yield server


# --- the command line ---------------------------------------------------------------------------------


def test_a_run_that_passes_leaves_no_secret_and_nothing_that_others_may_change(
    tmp_path: Path, sandbox: SandboxServer
) -> None:
    sandbox.change_faults(latency=0.1)
    home = home_of(tmp_path, sandbox.url)
    line, env = command(home, "generate", "--json", **ENVIRONMENT)
    before = set(home.rglob("*"))
    umask = os.umask(0)  # as careless as can be
    try:
        with started(line, env=env, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            titles = titles_until_its_end(run)
            told = b"".join(pipe.read() for pipe in (run.stdout, run.stderr) if pipe).decode()
    finally:
        os.umask(umask)
    assert run.returncode == 0, told
    assert len(pictures(home)) == 4
    assert not [secret for secret in SECRETS if secret in told or secret in titles]
    assert found_in(home) == []
    made = set(home.rglob("*")) - before
    assert {path.suffix for path in made} >= {".png", ".db", ".json", ".csv", ".log", ".parquet", ""}
    assert [path for path in made if path.stat().st_mode & stat.S_IWOTH] == []


def titles_until_its_end(run: subprocess.Popen[bytes]) -> str:
    """The command lines of a process and its children, as others on the machine see them."""
    proc, seen = Path("/proc"), ""
    while run.poll() is None:
        for path in (proc / str(run.pid), *proc.glob(f"{run.pid}/task/*/children")):
            try:
                pids = [path.name] if path.name.isdigit() else path.read_text().split()
                seen += "".join((proc / pid / "cmdline").read_text() for pid in pids)
            except OSError:  # it has ended, or this system has no /proc
                continue
        time.sleep(0.1)
    return seen


def test_a_service_that_repeats_the_key_in_its_errors_brings_it_nowhere(tmp_path: Path) -> None:
    with ScriptedService(*ECHOES) as service:
        home = home_of(tmp_path, service.url)
        run = duomi(home, "generate", "--json", **ENVIRONMENT)
        assert [asked.headers.get("Authorization") for asked in service.asked] == [KEY] * len(ECHOES)
    assert (run.returncode, json.loads(run.stdout)["counts"]["failed"]) == (3, 3), run.stderr
    assert "Incorrect API key provided: ***" in run.stdout
    assert not [secret for secret in SECRETS if secret in run.stdout + run.stderr]
    assert found_in(home) == []


def test_the_address_of_a_picture_that_holds_the_key_is_fetched_and_kept_without_it(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.linear_gradient("L").resize((108, 192)).save(picture, "PNG")
    with ScriptedService() as service:
        address = (
            f"{service.url}/a.png?key={quote(KEY, safe='')}&login={base64.b64encode(f'me:{KEY}'.encode()).decode()}"
        )
        sold, sent = Answer(json.dumps({"images": [{"url": address}]})), Answer(picture.getvalue())
        service.answers = [sold, sent]
        home = home_of(tmp_path, service.url)
        run = duomi(home, "generate", "--limit", "1", **ENVIRONMENT)
        assert service.asked[1].path == address.removeprefix(service.url)
    assert run.returncode == 0, run.stderr
    assert len(pictures(home)) == 1
    with closing(sqlite3.connect(home / "out/ledger.db")) as ledger:
        dump = "\n".join(ledger.iterdump())
    assert "/a.png?key=***&login=" in dump
    assert base64.b64encode(f"me:{KEY}".encode()).decode()[6:-6] not in dump
    assert found_in(home) == []


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/ledger", f"postgresql://me:{PASSWORD}@127.0.0.1:port/ledger", f"postgresql://me:{PASSWORD}",
        f"sqlite://me:{PASSWORD}@/ledger", f"nothing+known://me:{PASSWORD}@host/ledger", PASSWORD, f"//{PASSWORD}",
    ],
)  # fmt: skip
def test_a_ledger_that_cannot_be_opened_is_named_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(LedgerError, match="DUOMI_LEDGER_URL") as caught:
        Session(Settings.load(tmp_path, ledger_url=url))
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_settings_that_cannot_be_used_are_named_without_their_secrets(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"DUOMI_WEBHOOK_URL=\(hidden\)") as caught:
        Settings.load(tmp_path, webhook_url=f"ftp://{HOOK}", api_key=KEY, seed="many")
    assert not [secret for secret in SECRETS if secret in "".join(traceback.format_exception(caught.value))]


def test_doctor_shows_no_secret_and_says_who_else_can_read_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = tmp_path / ".env"
    env.write_text(f"DUOMI_API_KEY={KEY}\nDUOMI_BASE_URL=sandbox\nDUOMI_WEBHOOK_URL=https://{HOOK}\n")
    monkeypatch.setenv("DUOMI_HOME", str(tmp_path))
    for mode, is_told in ((0o644, True), (0o600, False)):
        env.chmod(mode)
        told = CliRunner().invoke(cli, ["doctor", "--settings"]).output
        assert told.count("(set, hidden)") == 3
        assert not [secret for secret in SECRETS if secret in told]
        assert (f"chmod 600 {env}" in told) == is_told


# --- Dagster ------------------------------------------------------------------------------------------


def test_dagster_keeps_no_secret_of_runs_that_pass_fail_or_break(
    tmp_path: Path, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "dagster").mkdir()
    # As `dagster dev` has it: events in SQLite, the output of each run in files.
    settings = {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster"), overrides=settings) as instance:
        project = Project(tmp_path / "home", instance, sandbox)
        project.configure(ambiguous_retries=0)
        passes, fails, breaks = (project.write(name) for name in ("passes", "fails", "breaks"))
        project.look()
        assert project.run(passes).success
        with ScriptedService(*ECHOES[:3]) as service:
            project.configure(base_url=service.url)
            assert not project.run(fails).success
        project.configure(base_url=sandbox.url)
        (project.home / "out/manifest/results.db").unlink()
        (project.home / "out/manifest/results.db").mkdir()  # an error that nobody foresaw, with its traceback
        broken = project.run(breaks)
        assert not broken.success
        monkeypatch.setenv("DUOMI_LEDGER_URL", f"postgresql://me:{PASSWORD}@127.0.0.1:1/ledger")
        assert not project.run(breaks).success
    kept = [path for path in (tmp_path / "dagster").rglob("*") if path.is_file()]
    assert [path for path in kept if path.suffix in (".err", ".out")], "no output was kept"
    assert any("Traceback" in str(event) or "results.db" in str(event) for event in broken.all_events)
    told = "".join(capfd.readouterr())
    assert not [secret for secret in SECRETS if secret in told]
    assert found_in(tmp_path) == []


# --- files and servers --------------------------------------------------------------------------------


def test_what_a_code_location_writes_nobody_else_may_change_and_loading_it_changes_nothing(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        importlib.reload(definitions)
        assert not os.umask(0) & stat.S_IWOTH
        DuomiResource(home=str(tmp_path)).settings()
        assert os.umask(0) & stat.S_IWOTH
    finally:
        os.umask(before)


def test_servers_listen_on_this_machine_alone() -> None:
    with SandboxServer() as server:
        assert server.url.startswith("http://127.0.0.1:")
    recipe = (REPO / "Makefile").read_text(encoding="utf-8")
    assert "duomi dev --port" in recipe
    assert "0.0.0.0" not in recipe
    assert {option.name: option.default for option in dev.params}["host"] == "127.0.0.1"
