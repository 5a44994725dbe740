"""Which runs are alive. A run owns its purchases only while it is alive.

Each run holds a lock that is released when its process dies, in any way: `file_locks` beside an SQLite ledger,
`session_locks` on PostgreSQL. If a lock proves nothing, a run is dead after a lease without a heartbeat.
"""

import os
import socket
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from enum import StrEnum, auto
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update

from duomi_pipeline.ledger.schema import runs

LEASE = 90.0  # seconds without a heartbeat after which a run without a lock counts as dead
HEARTBEAT = 20.0  # seconds between two heartbeats


class Life(StrEnum):
    """What the ledger knows of a run's process."""

    NOT_BEGUN = auto()  # it has written nothing yet
    ALIVE = auto()  # also for `LEASE` after its recorded end: it may still be reporting that to others
    DEAD = auto()


class Lives(ABC):
    """Shows that the runs of this process are alive, and checks others."""

    def begin(self, connection: Connection, run_id: str, trigger: str) -> None:
        """Record that a run is alive; a known run (another step of it) is active again.

        Raises:
            LedgerError: it is active in another process.
        """
        host = self._hold(run_id) or socket.gethostname()
        alive = {"host": host, "pid": os.getpid(), "alive_until": self._lease(), "ended_at": None}
        revived = connection.execute(update(runs).where(runs.c.id == run_id).values(**alive))
        if not revived.rowcount:
            connection.execute(insert(runs).values(id=run_id, trigger=trigger, started_at=time.time(), **alive))

    def renew(self, connection: Connection, run_id: str) -> None:
        """Write a heartbeat."""
        connection.execute(update(runs).where(runs.c.id == run_id).values(alive_until=self._lease()))

    def is_alive(self, connection: Connection, run_id: str | None) -> bool:
        """Whether a run is active: not ended, and not known to be dead."""
        row = _row(connection, run_id)
        return row is not None and row["ended_at"] is None and not self._is_dead(connection, row)

    def is_gone(self, connection: Connection, run_id: str) -> bool:
        """Whether a run's process is known to be dead, whether or not its end is recorded."""
        row = _row(connection, run_id)
        return row is not None and self._is_dead(connection, row)

    def life(self, connection: Connection, run_id: str) -> Life:
        """What is known of a run's process."""
        row = _row(connection, run_id)
        if row is None:
            return Life.NOT_BEGUN
        ended_itself = row["ended_at"] is not None and row["counts"] is not None  # others record no counts
        has_just_ended = ended_itself and time.time() - row["ended_at"] < LEASE
        return Life.ALIVE if has_just_ended or not self._is_dead(connection, row) else Life.DEAD

    @abstractmethod
    def alone(self, name: str) -> AbstractContextManager[None]:
        """Wait until no other process is in a block of this name, on any machine that shares the ledger."""

    @abstractmethod
    def is_locked(self, connection: Connection, run_id: str) -> bool:
        """Whether a run's lock is held: a proof that it is alive, without which it may be so all the same."""

    @abstractmethod
    def release(self) -> None:
        """Release the locks of all runs that were begun here; another session may still hold them."""

    @abstractmethod
    def _hold(self, run_id: str) -> str | None:
        """Take a run's lock. Returns the kernel on which it proves a death; `None` if there are no such locks."""

    @abstractmethod
    def _lease(self) -> float | ColumnElement[Any]:
        """When a heartbeat written now expires, in seconds since 1970."""

    @abstractmethod
    def _is_dead(self, connection: Connection, run: RowMapping) -> bool:
        """Whether a run's process is known to be dead."""


def write_ended_run(connection: Connection, run_id: str, trigger: str) -> None:
    """Record a run that begins and ends in this transaction."""
    now = time.time()
    times = {"started_at": now, "alive_until": now, "ended_at": now}
    connection.execute(
        insert(runs).values(id=run_id, trigger=trigger, host=socket.gethostname(), pid=os.getpid(), **times)
    )


def _row(connection: Connection, run_id: str | None) -> RowMapping | None:
    return connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first()
