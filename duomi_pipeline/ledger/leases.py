"""Which runs are alive. A purchase belongs to its run only as long as that run lives.

Each run holds a lock that goes with its process, however that dies: `file_locks` beside an SQLite ledger,
`session_locks` on PostgreSQL. Where there is no lock, a run has a lease: after so long without a sign of life it
counts as dead.
"""

import os
import socket
import time
from abc import ABC, abstractmethod
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update

from duomi_pipeline.ledger.schema import runs

LEASE = 90.0  # seconds without a sign of life after which a run without a lock counts as dead
HEARTBEAT = 20.0  # seconds between two signs of life


class Lives(ABC):
    """The lives of runs, as this process shows its own and sees the others'."""

    def begin(self, connection: Connection, run_id: str, trigger: str) -> None:
        """Write that a run lives; one that is known (a step of the same run) is revived.

        Raises:
            LedgerError: it lives in another process.
        """
        host = self._hold(run_id) or socket.gethostname()
        alive = {"host": host, "pid": os.getpid(), "alive_until": self._lease(), "ended_at": None}
        revived = connection.execute(update(runs).where(runs.c.id == run_id).values(**alive))
        if not revived.rowcount:
            connection.execute(insert(runs).values(id=run_id, trigger=trigger, started_at=time.time(), **alive))

    def renew(self, connection: Connection, run_id: str) -> None:
        """Give a sign of life."""
        connection.execute(update(runs).where(runs.c.id == run_id).values(alive_until=self._lease()))

    def is_alive(self, connection: Connection, run_id: str | None) -> bool:
        """Whether a run still works: not ended, and not known to be dead."""
        row = _row(connection, run_id)
        return row is not None and row["ended_at"] is None and not self._is_dead(connection, row)

    def is_gone(self, connection: Connection, run_id: str) -> bool:
        """Whether a run's process is known to be dead, whether or not it said that it ended."""
        row = _row(connection, run_id)
        return row is not None and self._is_dead(connection, row)

    @abstractmethod
    def release(self) -> None:
        """Give back the locks of all runs that were begun here; another session may hold them still."""

    @abstractmethod
    def _hold(self, run_id: str) -> str | None:
        """Take a run's lock. Returns where it proves something; `None` where there are no locks."""

    @abstractmethod
    def _lease(self) -> float | ColumnElement[Any]:
        """Until when a sign of life is good, in seconds since 1970."""

    @abstractmethod
    def _is_dead(self, connection: Connection, run: RowMapping) -> bool:
        """Whether a run's process is known to be dead."""


def write_ended_run(connection: Connection, run_id: str, trigger: str) -> None:
    """Write a run that is over in the transaction in which it began."""
    now = time.time()
    times = {"started_at": now, "alive_until": now, "ended_at": now}
    connection.execute(
        insert(runs).values(id=run_id, trigger=trigger, host=socket.gethostname(), pid=os.getpid(), **times)
    )


def _row(connection: Connection, run_id: str | None) -> RowMapping | None:
    return connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first()
