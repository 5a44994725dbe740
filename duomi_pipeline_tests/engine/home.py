"""A home folder with prompts, its runs in this process and in others, and the sandbox's books beside it."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from PIL import Image

from duomi_pipeline.engine import NOT_CURRENT, Outcome, Plan, Session, State, Stop
from duomi_pipeline.engine.waits import Waits
from duomi_pipeline.images.metadata import PictureInfo, read_info
from duomi_pipeline.images.png import check_whole
from duomi_pipeline.ledger import Money
from duomi_pipeline.prompts import Prompt, read_sources
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import ParameterOverrides, Settings
from duomi_pipeline_tests.engine.worker import main as run_worker
from duomi_pipeline_tests.forks import Fork
from duomi_pipeline_tests.postgres import empty
from duomi_pipeline_tests.prompts.harness import written_texts

SIZE = "72x128"
MARK = ".duomi-folder.json"  # by which the ledger knows the folder again
QUICK: dict[str, Any] = {
    "image_size": SIZE,
    "poll_interval": 0.05,
    "timeout": 2.0,
    "download_patience": 0.4,
    "max_concurrency": 8,
    "price_per_image": 0.1,
}
SHORT_WAITS = Waits(first_backoff=0.02, max_backoff=0.1, held=0.05)
ASYNCHRONOUS: dict[str, Any] = {"protocol": "duomi_async"}
# Audit events of Python, each at one exact step of a run. The service is asked first, the picture's host second.
BEFORE_THE_DOWNLOAD = ("socket.connect", 2)
BEFORE_THE_RENAME = ("os.link", 1)
BETWEEN_FILE_AND_RECORD = ("os.remove", 2)  # the first one is the probe of the folder
DEADLINE = 30.0  # seconds


@dataclass(frozen=True)
class Run:
    """What became of one run."""

    id: str
    outcomes: tuple[Outcome, ...]
    stop: Stop | None
    counts: dict[str, int]
    remaining: tuple[Prompt, ...]

    @property
    def failures(self) -> dict[str, str]:
        """The failed prompts' messages by prompt id."""
        return {o.prompt.id: str(o.failure) for o in self.outcomes if o.failure}

    def outcome(self, name: str) -> Outcome:
        """The outcome of the prompt in the file of that name."""
        return next(o for o in self.outcomes if o.prompt.id == f"json_{name}")


class Worker:
    """A run in a process of its own.

    Args:
        prefix: a command that starts it, where the state in which a program starts matters.
        output: a new file for what it prints.
        ended: called after it was killed.
    """

    def __init__(self, spec: dict[str, Any], prefix: Sequence[str], output: Path, ended: Callable[[], object]) -> None:
        self._output = output
        self._ended = ended
        if prefix:
            command = [*prefix, sys.executable, "-m", "duomi_pipeline_tests.engine.worker", json.dumps(spec)]
            with output.open("wb") as file:
                self.process: subprocess.Popen[bytes] | Fork = subprocess.Popen(command, stdout=file, stderr=file)
        else:
            self.process = Fork(run_worker, spec, output=output)

    def planned(self) -> "Worker":
        """Wait until it has looked at its prompts."""
        wait_until(lambda: self._printed() or self.process.poll() is not None, "it to look at its prompts")
        assert self._printed()[:1] == ["planned"], self._printed()
        return self

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()
        self._ended()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def result(self) -> dict[str, Any]:
        """What it printed at its end, and its exit code."""
        code, lines = self.process.wait(DEADLINE), self._printed()
        found = [line for line in lines if line.startswith("{")]
        return {"exit": code, "printed": lines, **(json.loads(found[-1]) if found else {})}

    def _printed(self) -> list[str]:
        return self._output.read_text().splitlines() if self._output.exists() else []


class Home:
    """A home folder; `sandbox` is the service it buys from."""

    def __init__(self, path: Path, sandbox: SandboxServer, **settings: Any) -> None:
        self.path = path
        self.sandbox = sandbox
        self.images = path / "out" / "generated_images"
        self.defaults = {**QUICK, "base_url": sandbox.url, **settings}
        self.ledger_url = str(settings.get("ledger_url", "sqlite:///out/ledger.db"))
        self._workers: list[Worker] = []

    def settings(self, **changes: Any) -> Settings:
        return Settings.load(self.path, **{**self.defaults, **changes})

    def write(self, name: str, text: str, **content: Any) -> None:
        """A JSON prompt file."""
        folder = self.path / "out" / "prompt_json"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps({"image_prompt": text, **content}), encoding="utf-8")

    def write_many(self, count: int) -> None:
        """Different prompts `p00`, `p01`, …."""
        texts = written_texts()[:count]
        texts += [f"A quiet harbour at dawn, boat number {number}" for number in range(len(texts), count)]
        for number, text in enumerate(texts):
            self.write(f"p{number:02}", f"{number}. {text}")

    def session(self, **changes: Any) -> Session:
        self.let_leases_run_out()
        return Session(self.settings(**changes), waits=SHORT_WAITS)

    def plan(self, parameters: ParameterOverrides | None = None, **changes: Any) -> Plan:
        with self.session(**changes) as session:
            return session.plan(read_sources(session.settings).prompts, parameters)

    def state(self, name: str, **changes: Any) -> State:
        """The state of the prompt in the file of that name."""
        return self.plan(**changes).by_id[f"json_{name}"].state

    def run(
        self,
        states: Collection[State] = NOT_CURRENT,
        parameters: ParameterOverrides | None = None,
        *,
        force: bool = False,
        max_images: int | None = None,
        **changes: Any,
    ) -> Run:
        """Bring the prompts in these states to pictures."""
        with self.session(**changes) as session:
            plan = session.plan(read_sources(session.settings).prompts, parameters)
            with session.generating(plan.wanted(states), parameters, force=force, max_images=max_images) as batch:
                outcomes = tuple(batch)
            return Run(session.run_id, outcomes, batch.stop_reason, batch.counts, batch.remaining)

    def worker(self, prefix: Sequence[str] = (), spec: dict[str, Any] | None = None, **changes: Any) -> Worker:
        """The same in another process."""
        self.let_leases_run_out()
        whole = {"home": str(self.path), "settings": {**self.defaults, **changes}, **(spec or {})}
        output = self.path.with_name(f"worker{len(self._workers)}.log")
        self._workers.append(Worker(whole, prefix, output, self.let_leases_run_out))
        return self._workers[-1]

    def close(self) -> None:
        """Leave no process behind, also where a test failed."""
        for worker in self._workers:
            worker.kill()

    def money(self) -> Money:
        with self.session() as session:
            return session.ledger.money()

    def purchase_states(self) -> list[str]:
        """The states of all chains in the ledger."""
        return [row[0] for row in self.sql("SELECT state FROM purchases ORDER BY id")]

    def age_ledger(self, seconds: float) -> None:
        """Let time pass: everything that the ledger says happened so much earlier."""
        for table, names in (("purchases", ("created_at", "updated_at", "answered_at")), ("posts", ("sent_at",))):
            self.sql(f"UPDATE {table} SET {', '.join(f'{name} = {name} - :past' for name in names)}", past=seconds)
        self.sql("UPDATE runs SET alive_until = alive_until - :past", past=seconds)

    def let_leases_run_out(self) -> None:
        """On PostgreSQL a run whose process is gone has the rest of its lease; one that lives has its lock, too."""
        if self.on_postgresql:
            self.sql("UPDATE runs SET alive_until = 0")

    def lose_ledger(self) -> None:
        """It is empty from now on."""
        if self.on_postgresql:
            empty(self.ledger_url)
        for file in (self.path / "out").glob("ledger.db*"):
            file.unlink()

    @property
    def on_postgresql(self) -> bool:
        return self.ledger_url.startswith("postgresql")

    def sql(self, statement: str, **values: object) -> Sequence[Any]:
        """Read the ledger, or write into it, beside the program."""
        engine = sa.create_engine(self.ledger_url.replace("sqlite:///", f"sqlite:///{self.path}/"))
        with engine.begin() as connection:
            found = connection.execute(sa.text(statement), values)
            rows = found.all() if found.returns_rows else []
        engine.dispose()
        return rows

    @property
    def posts(self) -> int:
        """Requests that reached the service."""
        return self.sandbox.books.totals().posts

    @property
    def billed(self) -> int:
        """Pictures the service billed."""
        return self.sandbox.books.billed()

    def files(self) -> list[Path]:
        """Everything in the folder of pictures but its mark, hidden files too."""
        return sorted(file for file in self.images.iterdir() if file.name != MARK) if self.images.exists() else []

    def infos(self) -> dict[str, PictureInfo]:
        """What each picture says about itself, by prompt id; every picture is checked to be whole."""
        found: dict[str, PictureInfo] = {}
        for file in self.files():
            data = file.read_bytes()
            check_whole(data)
            info = read_info(data)
            assert info is not None, file
            found[info.prompt_id] = info
        return found

    def pictures(self) -> list[tuple[str | None, tuple[int, int]]]:
        """Format and size of everything in the folder of pictures, decoded."""
        opened = (Image.open(io.BytesIO(file.read_bytes())) for file in self.files())
        return [(picture.format, picture.size) for picture in opened if picture.load()]


def wait_until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


def without_root_rights() -> list[str]:
    """A command prefix under which folder permissions count, also for root."""
    if os.geteuid() != 0:
        return []
    tool = shutil.which("setpriv")
    return [tool, "--bounding-set", "-dac_override,-dac_read_search"] if tool else ["no setpriv"]
