"""A home, a service and what their books say: the things that every promise is about, compared at any moment."""

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine

from duomi_pipeline.engine import NOT_CURRENT, Session, State, keeping, session
from duomi_pipeline.images.metadata import read_info
from duomi_pipeline.images.png import check_whole
from duomi_pipeline.ledger import session_locks
from duomi_pipeline.ledger.postgresql import lock_id
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.engine.home import Home, wait_until
from duomi_pipeline_tests.proof.steps import NO_WAITS, SteppedRun, WatchedDatabase

RETRIES = 1  # of a lost answer
TABLES = ("selections", "pictures", "posts", "purchases", "runs", "facts", "foreign_files")
SYNC: dict[str, Any] = {"model": "stabilityai/stable-diffusion-xl-base-1.0", "protocol": "siliconflow"}


class Stage:
    """A home with some prompts that is emptied for each story.

    Args:
        path: of the home.
        sandbox: the service; its books are emptied, too.
        texts: of the prompts p0, p1, …
        settings: over those of the tests.
    """

    def __init__(self, path: Path, sandbox: SandboxServer, texts: Sequence[str], **settings: Any) -> None:
        path.mkdir(exist_ok=True)
        self.home = Home(path, sandbox, **{**SYNC, "max_concurrency": 1, "ambiguous_retries": RETRIES, **settings})
        self.sandbox = sandbox
        for number, text in enumerate(texts):
            self.home.write(f"p{number}", text)
        self.settings = self.home.settings()
        self.prompts = list(read_sources(self.settings).prompts)
        with Session(self.settings, waits=NO_WAITS) as opened:
            entries = opened.plan(self.prompts).entries
        self.text_of = {entry.prompt.id: entry.prompt.text for entry in entries}
        self.names: dict[str, str] = {}
        for entry in entries:
            self.names.setdefault(entry.request.key, entry.prompt.id.removeprefix("json_"))
        self._stories = 0
        self.ledger = _Rows(self.home)

    def close(self) -> None:
        self.ledger.close()

    def bury(self, run_id: str) -> None:
        """Wait until the death of a run shows: PostgreSQL lets go of its lock a moment after its connection is gone."""
        if self.home.on_postgresql:
            held = f"classid::bigint << 32 | objid::bigint = {lock_id(run_id)}"
            query = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {held}"
            wait_until(lambda: self.ledger.execute(query).fetchone()[0] == 0, "its lock to go")

    def clear(self) -> None:
        """An empty home and empty books."""
        for table in TABLES:
            self.ledger.execute(f"DELETE FROM {table}")
        shutil.rmtree(self.home.images, ignore_errors=True)
        shutil.rmtree(self.home.path / "out" / "kept_answers", ignore_errors=True)
        self.sandbox.books.reset()
        self._stories += 1

    def run(self, name: str) -> SteppedRun:
        """A run that goes step by step."""
        return SteppedRun(self.settings, self.prompts, f"{name}-{self._stories}")

    def violations(self, *, wire: int) -> list[str]:
        """What does not hold now.

        Args:
            wire: POSTs that a death may have caught between being sent and being known.
        """
        bills = Counter(billing.prompt for billing in self.sandbox.books.billings())
        found = [f"{text!r} was billed {times} times" for text, times in bills.items() if times > 1 + RETRIES]
        wanted = len(set(self.text_of.values()))
        if (extra := sum(times - 1 for times in bills.values())) > wire:
            found.append(f"{extra} of {wanted} bought again, and {wire} on the wire at a death")
        if (booked := self.booked()) < self.sandbox.books.billed():
            found.append(f"{self.sandbox.books.billed()} billed, {booked} booked")
        return found + self._wrong_files()

    def booked(self) -> int:
        """Pictures that were, or may have been, billed, as the ledger has it."""
        total = self.ledger.execute("SELECT COALESCE(SUM(pictures), 0) FROM posts WHERE billing != 'free'")
        return int(total.fetchone()[0])

    def _wrong_files(self) -> list[str]:
        found = []
        for file in self.home.files():
            if file.suffix != ".png":
                continue
            data = file.read_bytes()
            check_whole(data)
            info = read_info(data)
            if info is None or self.text_of.get(info.prompt_id) != info.prompt:
                found.append(f"{file.name} is not the picture of its prompt's text")
        return found

    def end(self) -> list[str]:
        """What does not hold after one more plain run: every prompt has its own picture."""
        with Session(self.settings, waits=NO_WAITS) as opened:
            plan = opened.plan(self.prompts)
            opened.ledger.database = WatchedDatabase(opened.ledger.database)
            with opened.generating(plan.wanted(NOT_CURRENT)) as run:
                failures = [f"{o.prompt.id}: {o.failure}" for o in run if o.failure]
            after = opened.plan(self.prompts)
        found = failures if run.stop_reason is None else [*failures, run.stop_reason.message]
        found += [f"{e.prompt.id} is {e.state} at the end" for e in after.entries if e.state is not State.CURRENT]
        for entry in after.entries:
            for picture in entry.reusable:
                info = read_info((self.home.images / picture.file).read_bytes())
                if info is None or (info.prompt_id, info.prompt) != (entry.prompt.id, entry.prompt.text):
                    found.append(f"{entry.prompt.id} has the picture {picture.file} of {info and info.prompt_id}")
        return found


class _Rows:
    """The ledger's rows, beside the program."""

    def __init__(self, home: Home) -> None:
        self._opened: Any
        if home.on_postgresql:
            engine = create_engine(home.ledger_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
            self._opened = engine.raw_connection()
        else:
            file = home.path / "out" / "ledger.db"
            self._opened = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            self._opened.execute("PRAGMA foreign_keys=OFF")

    def execute(self, sql: str, *values: Any) -> Any:
        """A cursor with the rows of a query."""
        cursor = self._opened.cursor()
        cursor.execute(sql, *values)
        return cursor

    def executemany(self, sql: str, rows: Sequence[Any]) -> None:
        self._opened.cursor().executemany(sql, rows)

    def close(self) -> None:
        self._opened.close()


@contextmanager
def stage(path: Path, texts: Sequence[str], faults: Faults | None = None, **settings: Any) -> Iterator[Stage]:
    """A stage on which runs do not wait for one another by the clock."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session, "HEARTBEAT", 3600.0)  # a beat is no step of the story
        patched.setattr(session_locks, "LEASE", -1.0)  # a run lives as long as its lock
        patched.setattr(os, "fsync", lambda _: None)
        patched.setattr(keeping, "SOON", 3600.0)  # a run that waits for its turn does not wait for the ledger
        with (
            SandboxServer(faults=faults or Faults(picture="flat")) as sandbox,
            closing(Stage(path, sandbox, texts, **settings)) as opened,
        ):
            yield opened
