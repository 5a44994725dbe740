"""Liveness of runs on an SQLite ledger: each run locks a file in a folder beside the database.

The operating system unlocks it when the process dies. This proves a death only to processes on the same kernel, in
containers or not: machines that share a folder may not see each other's locks. Otherwise, and on file systems without
locks, the observer waits for a heartbeat, by its own clock only: clocks of two machines are never compared.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, RowMapping, update

from duomi_pipeline.common.processes import kernel
from duomi_pipeline.ledger.database import LedgerError
from duomi_pipeline.ledger.leases import HEARTBEAT, LEASE, Lives
from duomi_pipeline.ledger.schema import runs

_SUFFIX = ".lock"
_TRIED = 2.0  # seconds; a process that only tests a lock has released it by then
_KERNEL = "kernel:"


@dataclass
class _Silence:
    """For how long, by the observer's clock, a run has written no heartbeat."""

    sign: float
    looked_at: float
    seconds: float = 0.0


_silences: dict[str, _Silence] = {}  # by run id; kept for the process, as its sessions may be short
_listening = threading.Lock()


class FileLocks(Lives):
    """Liveness by locked files.

    Args:
        database: the ledger's file; `None` for one in memory, which no other process sees.
        clock: of this observer, in seconds from any point in time.
    """

    def __init__(self, database: Path | None, clock: Callable[[], float]) -> None:
        self._folder = None if database is None else database.with_name(f".{database.name}-runs")
        self._clock = clock
        self._here = f"{_KERNEL}{kernel()}"
        self._held: dict[str, FileLock] = {}

    def begin(self, connection: Connection, run_id: str, trigger: str) -> None:
        """See `Lives`; also marks dead runs as ended and removes their files."""
        super().begin(connection, run_id, trigger)
        for file in self._folder.glob(f"*{_SUFFIX}") if self._folder else ():
            with contextlib.suppress(OSError), _tried(file):
                dead = (runs.c.id == file.name.removesuffix(_SUFFIX)) & (runs.c.host == self._here)
                last_sign = runs.c.alive_until - LEASE
                connection.execute(update(runs).where(dead, runs.c.ended_at.is_(None)).values(ended_at=last_sign))
                file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """See `Lives`."""
        with contextlib.ExitStack() as stack:
            if self._folder is not None:
                file = self._folder.with_name(f"{self._folder.name}-{name}")
                with contextlib.suppress(OSError):  # a file system without locks
                    stack.enter_context(FileLock(file, thread_local=False, fallback_to_soft=False))
            yield

    def is_locked(self, _connection: Connection, run_id: str) -> bool:
        """See `Lives`."""
        file = None if self._folder is None else self._folder / f"{run_id}{_SUFFIX}"
        try:
            with _tried(file) if file and file.exists() else contextlib.nullcontext():
                return False
        except Timeout:
            return True
        except OSError:  # the lock cannot be tested
            return False

    def release(self) -> None:
        """See `Lives`."""
        while self._held:
            self._held.popitem()[1].release()

    def _hold(self, run_id: str) -> str | None:
        if self._folder is None:
            return None
        if run_id in self._held:
            return self._here
        file = self._folder / f"{run_id}{_SUFFIX}"
        # One lock for all sessions of this process; the last one releases it.
        lock = FileLock(file, timeout=_TRIED, is_singleton=True, thread_local=False, fallback_to_soft=False)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise LedgerError(f"The run {run_id} is active in another process.") from None
        except OSError:  # a file system without locks
            with contextlib.suppress(OSError):
                file.unlink()
            return None
        self._held[run_id] = lock
        return self._here

    def _lease(self) -> float:
        return time.time() + LEASE  # observers only compare it with its former value

    def _is_dead(self, connection: Connection, run: RowMapping) -> bool:
        has_lock, is_free = run["host"].startswith(_KERNEL), False
        if self._folder and (file := self._folder / f"{run['id']}{_SUFFIX}").exists():
            try:
                with _tried(file):
                    is_free = True
            except Timeout:
                return False
            except OSError:  # the lock cannot be tested
                return self._is_silent(run)
        if (is_free and run["host"] == self._here) or (has_lock and run["ended_at"] is not None):
            return True
        return self._is_silent(run)

    def _is_silent(self, run: RowMapping) -> bool:
        """Whether its lease has expired. Machines may have slept between two checks: a gap counts as one heartbeat."""
        now, sign = self._clock(), run["alive_until"]
        with _listening:
            silence = _silences.get(run["id"])
            if silence is None or silence.sign != sign:
                silence = _silences[run["id"]] = _Silence(sign, now)
            silence.seconds += min(max(now - silence.looked_at, 0.0), HEARTBEAT)
            silence.looked_at = now
            return silence.seconds > LEASE


@contextlib.contextmanager
def _tried(file: Path) -> Iterator[None]:
    """Hold a lock inside the block if it is free, to test it.

    Raises:
        Timeout: another process holds it.
        OSError: it cannot be tested.
    """
    with FileLock(file, blocking=False, fallback_to_soft=False):
        yield
