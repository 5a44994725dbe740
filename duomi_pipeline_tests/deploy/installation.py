"""An installation of several machines on one: webserver and daemon, Celery workers, the paid service, an S3 server.

Each machine is a home folder, a host name and process ids of its own where this machine allows it. They share
PostgreSQL, Redis and a bucket.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from upath import UPath

from duomi_pipeline.sandbox.journal import Books
from duomi_pipeline_tests.processes import started

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
BUCKET = "pictures"
OF_ITS_OWN = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
PRICE = 1.0
_GRACE = 20  # seconds in which a process may end by itself
_RECORD = """
import os
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.looking import look
from duomi_pipeline.orchestration.instance import open_instance
from duomi_pipeline.orchestration.partition_sync import track
from duomi_pipeline.settings import Settings
settings = Settings.load()
with open_instance(settings) as instance, Session(settings) as session:
    track(instance, session.ledger, look(session.ledger, settings))
"""
_BACKFILL = """
mutation ($keys: [String!]!) { launchPartitionBackfill(backfillParams: {
    partitionNames: $keys, assetSelection: [{path: ["generated_images"]}], tags: []}) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
_STATUS = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
  assetNodeOrError(assetKey: {path: ["generated_images"]}) { ... on AssetNode {
    partitionStats { numPartitions numMaterialized numFailed } } }
  runsOrError(limit: 500) { ... on Runs { results { runId status tags { key value } } } } }
"""


def can_have_hosts() -> bool:
    """Whether a process of ours can have a host name and process ids of its own."""
    try:
        return subprocess.run([*OF_ITS_OWN, "hostname", "x"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@dataclass
class Installation:
    """All of it, running.

    Attributes:
        folder: holds a home per machine and the service's books.
        settings: environment of all machines.
        books: the service's own, which it alone writes.
        ledger: URL of the ledger.
        stack: ends what was started.
        ui: address of the webserver.
        workers: their processes by host name, with that of the webserver as `main`.
    """

    folder: Path
    settings: dict[str, str]
    books: Books
    ledger: str
    stack: contextlib.ExitStack
    ui: str = ""
    workers: "dict[str, subprocess.Popen[Any]]" = field(default_factory=dict)

    @property
    def prompts(self) -> Path:
        """The folder of prompt files: on one machine alone, the others read the register."""
        return self.folder / "main/out/prompt_json"

    def write(self, first: int, count: int) -> list[str]:
        """Write prompt files, and have Dagster know their partitions; returns their ids."""
        self.prompts.mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            content = json.dumps({"image_prompt": f"A lighthouse, number {number}"})
            (self.prompts / f"p{number:04}.json").write_text(content)
        subprocess.run([sys.executable, "-c", _RECORD], env=self._environment("main"), check=True, capture_output=True)
        return [f"json_p{number:04}" for number in range(first, first + count)]

    def start_worker(self, host: str) -> None:
        """A worker on a machine of its own."""
        celery = [str(BIN / "celery"), "-A", "duomi_pipeline.orchestration.workers", "worker"]
        celery += ["--concurrency", "1", "--hostname", f"{host}@%h"]
        line = [*OF_ITS_OWN, "sh", "-c", 'hostname "$0" && exec "$@"', host, *celery] if can_have_hosts() else celery
        self.workers[host] = self._start(host, line)

    def kill_worker(self, host: str) -> None:
        """What a power failure does to a machine."""
        process = self.workers.pop(host)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def start_main(self) -> None:
        """Webserver, daemon and code location."""
        process = self._start("main", [str(BIN / "duomi"), "dev", "--port", "0"])
        log = self.folder / "main.log"
        self.ui = wait_for(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()), 60, "the webserver")[0]
        wait_for(lambda: process.poll() is None and self._answers(), 60, "the webserver's answer")

    def backfill(self, keys: list[str]) -> str:
        """Start a backfill as the UI does; returns its id."""
        found = self.graphql(_BACKFILL, keys=keys)["launchPartitionBackfill"]
        assert found["__typename"] == "LaunchBackfillSuccess", found
        return str(found["backfillId"])

    def status(self, backfill: str) -> "Status":
        """What the UI shows of it."""
        found = self.graphql(_STATUS, id=backfill)
        stats = found["assetNodeOrError"]["partitionStats"]
        runs = {run["runId"]: run["status"] for run in found["runsOrError"]["results"]}
        return Status(found["partitionBackfillOrError"]["status"], stats["numMaterialized"], stats["numFailed"], runs)

    def graphql(self, query: str, **variables: object) -> Any:
        """Ask the webserver as the UI does."""
        headers = {"Origin": self.ui, "Content-Type": "application/json"}
        body = json.dumps({"query": query, "variables": variables})
        answer = requests.post(f"{self.ui}/graphql", body, headers=headers, timeout=60).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def ask_ledger(self, statement: str) -> list[Any]:
        """Rows of the ledger."""
        engine = create_engine(self.ledger)
        try:
            with engine.connect() as connection:
                return list(connection.execute(text(statement)))
        finally:
            engine.dispose()

    def stop(self) -> None:
        """End all workers at once, then webserver and daemon."""
        for host in [host for host in self.workers if host != "main"]:
            self.kill_worker(host)

    def manifest(self) -> "Counter[str]":
        """How many prompts are in which state by the manifest."""
        file = self._bucket() / "manifest/results.json"
        return Counter(row["state"] for row in json.loads(file.read_text())) if file.exists() else Counter()

    def has_gallery(self) -> bool:
        """Whether the gallery's page is in the bucket."""
        return bool((self._bucket() / "gallery/index.html").exists())

    def pictures(self) -> list[str]:
        """Names of the pictures in the bucket."""
        return [path.name for path in (self._bucket() / "pictures").iterdir() if path.suffix == ".png"]

    def _bucket(self) -> UPath:
        client = {"endpoint_url": self.settings["AWS_ENDPOINT_URL"], "region_name": "us-east-1"}
        return UPath(f"s3://{BUCKET}", key="test", secret="test", client_kwargs=client, use_listings_cache=False)

    def _answers(self) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return bool(self.graphql("{ version }"))
        return False

    def _start(self, host: str, line: list[str]) -> "subprocess.Popen[Any]":
        log = self.stack.enter_context((self.folder / f"{host}.log").open("ab"))
        process = self.stack.enter_context(
            _until_the_end(line, env=self._environment(host), cwd=self.folder / host, stdout=log, stderr=log)
        )
        self.workers[host] = process
        return process

    def _environment(self, host: str) -> Mapping[str, str]:
        """A machine's environment: a home of its own with the shipped `dagster.yaml`, and the settings of all."""
        home = self.folder / host
        (home / "dagster").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.folder / "dagster.yaml", home / "dagster/dagster.yaml")
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("DUOMI_", "DAGSTER_"))}
        own = {"DUOMI_HOME": str(home), "DAGSTER_HOME": str(home / "dagster"), "PYTHONPATH": str(ROOT)}
        return {**keep, **self.settings, **own}


@dataclass(frozen=True)
class Status:
    """What the UI shows of a backfill, and of the asset: partitions materialized and failed, runs by id."""

    backfill: str
    materialized: int
    failed: int
    runs: Mapping[str, str]


@contextlib.contextmanager
def installation(
    folder: Path, postgres: str, redis: str, latency: float, hand_out_again: int = 28800, **settings: object
) -> Iterator[Installation]:
    """Everything but workers and webserver, until the end of the block.

    Args:
        folder: an empty folder.
        postgres: URL of a server on which databases may be made.
        redis: URL of a database of a Redis server.
        latency: seconds that the service takes for a picture.
        hand_out_again: seconds after which Redis hands out an unfinished task again.
        settings: further ones of all machines.
    """
    prefix = f"test_{uuid.uuid4().hex[:12]}"
    shipped = (ROOT / "deploy/dagster.yaml").read_text(encoding="utf-8")
    look = min(hand_out_again, 10)  # Redis itself hands out nothing: workers look
    broker = f"{{global_keyprefix: {prefix}, visibility_timeout: {hand_out_again}, unacked_restore_interval: {look}, "
    own = shipped.replace("{visibility_timeout: 28800}", f"{broker}unacked_restore_throttle: 1}}")
    assert own != shipped
    (folder / "dagster.yaml").write_text(own, encoding="utf-8")
    with contextlib.ExitStack() as stack:
        dagster, ledger = (
            stack.enter_context(_database(postgres, f"{prefix}_{name}")) for name in ("dagster", "ledger")
        )
        s3, service = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
        books = folder / "books.db"
        for name, line in (
            ("s3", [str(BIN / "moto_server"), "-p", s3.rpartition(":")[2]]),
            ("service", _service(service, books, latency)),
        ):
            log = stack.enter_context((folder / f"{name}.log").open("ab"))
            stack.enter_context(_until_the_end(line, cwd=folder, stdout=log, stderr=log))
        wait_for(lambda: _listens(s3) and _listens(service), 60, "the servers")
        requests.put(f"{s3}/{BUCKET}", timeout=10).raise_for_status()
        environment = {
            "DAGSTER_POSTGRES_URL": dagster.replace("postgresql+psycopg2", "postgresql"),
            "CELERY_BROKER_URL": redis,
            "AWS_ENDPOINT_URL": s3,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "DUOMI_LEDGER_URL": ledger,
            "DUOMI_BASE_URL": service,
            "DUOMI_API_KEY": "any",
            "DUOMI_IMAGE_DIR": f"s3://{BUCKET}/pictures",
            "DUOMI_MANIFEST_DIR": f"s3://{BUCKET}/manifest",
            "DUOMI_GALLERY_DIR": f"s3://{BUCKET}/gallery",
            "DUOMI_IMAGE_SIZE": "108x192",
            "DUOMI_IMAGE_RUNS": "2",
            "DUOMI_PRICE_PER_IMAGE": f"{PRICE:g}",
            **{f"DUOMI_{name.upper()}": str(value) for name, value in settings.items()},
        }
        yield Installation(folder, environment, Books(books), ledger, stack)


def wait_for(condition: Any, seconds: float, what: str, every: float = 0.2) -> Any:
    """Wait until something is so, and return it.

    Raises:
        TimeoutError: it is not, after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)
    return found


def _service(url: str, books: Path, latency: float) -> list[str]:
    port = url.rpartition(":")[2]
    faults = ["--fail", "picture=flat", "--fail", f"price={PRICE}"]
    return [str(BIN / "duomi"), "sandbox", "--port", port, "--latency", str(latency), "--books", str(books), *faults]


@contextlib.contextmanager
def _until_the_end(line: list[str], **how: Any) -> Iterator["subprocess.Popen[Any]"]:
    """A process that is asked to end at the end of the block, and killed with its children where it does not."""
    with started(line, **how) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _database(server: str, name: str) -> Iterator[str]:
    engine = create_engine(server, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _listens(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False
