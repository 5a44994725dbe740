"""A run that stops before each of its writes into the ledger, and may die there as a process dies.

All else is the product's own: engine, ledger, store and client. A death lets nothing more of the run reach the
ledger; its threads end, and what a process holds is let go on the way.
"""

import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from duomi_pipeline.engine import NOT_CURRENT, Outcome, Session, Stop
from duomi_pipeline.engine.plan import Plan
from duomi_pipeline.engine.waits import Waits
from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.group_commit import GroupCommit
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.settings import Settings

NO_WAITS = Waits(0.0, 0.0, 0.0)
DEADLINE = 60.0  # seconds for one step
PLAN = ("plan", "")
END = ("end", "")
_COMPILED: dict[Any, Any] = {}  # statements, compiled once for thousands of ledgers
Watch = Callable[["Step"], None]
Step = tuple[str, str]  # what is written, and the key of the request that it is about


class Death(BaseException):
    """The process is gone at this moment."""


class WatchedDatabase(Database):
    """The database of a ledger; each write is told before it begins, and once it is on disk."""

    def __init__(self, database: Database, before: Watch = lambda _: None, after: Watch = lambda _: None) -> None:
        vars(self).update(vars(database))
        self.engine = database.engine.execution_options(compiled_cache=_COMPILED)
        if self.file is not None:
            # A story is about deaths of processes, not of machines.
            event.listen(self.engine, "checkout", lambda opened, *_: opened.execute("PRAGMA synchronous=OFF"))
            self._group_commit = GroupCommit(self.engine, self.check)
        self._before = before
        self._after = after

    @contextmanager
    def write(self, *names: str, urgent: bool = False, once: bool = False) -> Iterator[Connection]:
        step = _step_of(sys._getframe(2))
        self._before(step)
        with super().write(*names, urgent=urgent, once=once) as connection:
            yield connection
        self._after(step)


def _step_of(frame: Any) -> Step:
    """Which of the ledger's functions writes, and about which request."""
    known: dict[str, Any] = frame.f_locals
    key = known.get("request_key") or getattr(known.get("purchase"), "request_key", "")
    return str(frame.f_code.co_name), str(key)


class SteppedRun:
    """A run of prompts in a thread of its own that goes on one ledger step at a time.

    Args:
        settings: of the run.
        prompts: that there are.
        run_id: of the run.
        how: it generates, as `Session.generating` takes it.

    Attributes:
        at: the step that it takes next.
        taken: the steps that it took since it last claimed a request.
        plan: its look at the prompts, once it was taken.
        outcomes: so far.
        stop: why it ended early.
        is_dead: whether it died.
        error: an error that nobody foresaw.
    """

    def __init__(self, settings: Settings, prompts: Sequence[Prompt], run_id: str, **how: Any) -> None:
        self._how = how
        self._settings = settings
        self._prompts = prompts
        self.run_id = run_id
        self.at: Step = PLAN
        self.taken: list[Step] = []
        self.plan: Plan | None = None
        self.outcomes: list[Outcome] = []
        self.stop: Stop | None = None
        self.is_dead = False
        self.error: BaseException | None = None
        self._dies_after = False
        self._go = threading.Semaphore(0)
        self._arrived: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"run {run_id}", daemon=True)
        self._thread.start()
        self._wait()

    @property
    def is_over(self) -> bool:
        """Whether it takes no more step."""
        return self.at == END

    def go(self) -> None:
        """Take the next step, and all that follows until the one after."""
        self._go.release()
        self._wait()

    def die(self) -> None:
        """Die before the next step."""
        self.is_dead = True
        self.go()

    def go_and_die(self) -> None:
        """Take the next step, and die before anything else."""
        self._dies_after = True
        self.go()

    def close(self) -> None:
        """Leave no thread behind."""
        if not self.is_over:
            self.die()
        self._thread.join()

    def _wait(self) -> None:
        self.at = self._arrived.get(timeout=DEADLINE)

    def _before(self, step: Step) -> None:
        if not self.is_dead:
            self._arrived.put(step)
            self._go.acquire()
        if self.is_dead:
            raise Death

    def _after(self, step: Step) -> None:
        if step[0] == "claim":
            self.taken.clear()
        self.taken.append(step)
        if self._dies_after:
            self.is_dead = True
            raise Death

    def _work(self) -> None:
        try:
            with Session(self._settings, run_id=self.run_id, waits=NO_WAITS) as session:
                session.ledger.database = WatchedDatabase(session.ledger.database, self._before, self._after)
                self._before(PLAN)
                self.plan = session.plan(self._prompts)
                self._after(PLAN)
                with session.generating(self.plan.wanted(NOT_CURRENT), **self._how) as batch:
                    for outcome in batch:
                        self.outcomes.append(outcome)
                self.stop = batch.stop_reason
        except Death:
            pass
        except BaseException as error:  # noqa: BLE001 - told by the proof
            self.error = error
        finally:
            self._arrived.put(END)
