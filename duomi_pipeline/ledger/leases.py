"""Which runs are alive. A purchase belongs to its run only as long as that run lives."""

import os
import socket
import time

from sqlalchemy import Connection, RowMapping, insert, select, update

from duomi_pipeline.common.processes import process_exists
from duomi_pipeline.ledger.schema import runs

LEASE = 90.0  # seconds without a sign of life after which a run on another machine counts as dead
REUSED = 3600.0  # seconds of silence after which a process of the same number is taken for another one
HEARTBEAT = 20.0  # seconds between two signs of life
# Runs of this process that are over, also where that could not be written: they hold nothing any more.
_over_here: set[str] = set()


def register(connection: Connection, run_id: str, trigger: str) -> None:
    """Write that a run lives; one that is known (a step of the same run) is revived."""
    now = time.time()
    _over_here.discard(run_id)
    alive = {"host": socket.gethostname(), "pid": os.getpid(), "alive_until": now + LEASE, "ended_at": None}
    revived = connection.execute(update(runs).where(runs.c.id == run_id).values(**alive))
    if not revived.rowcount:
        connection.execute(insert(runs).values(id=run_id, trigger=trigger, started_at=now, **alive))


def renew(connection: Connection, run_id: str) -> None:
    """Give a sign of life."""
    connection.execute(update(runs).where(runs.c.id == run_id).values(alive_until=time.time() + LEASE))


def is_over(run_id: str) -> None:
    """Note that a run of this process is over, before it is written."""
    _over_here.add(run_id)


def end(connection: Connection, run_id: str) -> None:
    """Write that a run is over."""
    connection.execute(update(runs).where(runs.c.id == run_id).values(ended_at=time.time()))


def is_alive(connection: Connection, run_id: str | None) -> bool:
    """Whether a run still works: not ended, lease not out, and its process there if it is on this machine."""
    row = connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first()
    return row is not None and row["ended_at"] is None and run_id not in _over_here and not _is_dead(row)


def is_gone(connection: Connection, run_id: str) -> bool:
    """Whether a run's process is known to be dead, whether or not it said that it ended."""
    row = connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first()
    return row is not None and _is_dead(row)


def _is_dead(row: RowMapping) -> bool:
    """On this machine the process decides (one that slept is not dead), on another the lease."""
    silent = time.time() - row["alive_until"]
    if row["host"] == socket.gethostname():
        return not process_exists(row["pid"]) or silent > REUSED
    return bool(silent > 0)
