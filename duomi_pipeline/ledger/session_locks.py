"""Liveness of runs on PostgreSQL: each run holds an advisory lock on a connection of its own.

The server releases the lock when the process dies, but also when the connection breaks. So a run whose lock is free
is alive until its lease expires, by the server's clock, and takes the lock again with its next heartbeat.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, func, literal, select, text
from sqlalchemy.exc import DBAPIError

from duomi_pipeline.ledger.leases import LEASE, Lives

# After a power failure no connection is closed: the server probes it after 30 seconds of silence, three times.
_ASK_FOR_LIFE = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
_LOOK = 0.2  # seconds between two looks whether it is our turn
_NOW = func.extract("epoch", func.clock_timestamp())


class SessionLocks(Lives):
    """Liveness by locks of database sessions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._held: dict[str, Connection] = {}

    def renew(self, connection: Connection, run_id: str) -> None:
        """See `Lives`; also takes a lost lock again."""
        super().renew(connection, run_id)
        try:
            if session := self._held.get(run_id):
                session.execute(select(1))
        except DBAPIError:
            self._held.pop(run_id).close()
        self._hold(run_id)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """See `Lives`."""
        with self._engine.connect() as session:
            session.detach()  # closed at the end, and its lock with it, also where the server is gone by then
            while not session.execute(select(func.pg_try_advisory_lock(_key(name)))).scalar_one():
                time.sleep(_LOOK)
            yield

    def release(self) -> None:
        """See `Lives`."""
        while self._held:
            with contextlib.suppress(DBAPIError):  # the connection is broken already
                self._held.popitem()[1].close()

    def _hold(self, run_id: str) -> str | None:
        if run_id not in self._held:
            session = self._engine.connect()
            session.detach()  # when closed, it does not return to the pool
            session.execute(text(_ASK_FOR_LIFE))
            session.execute(select(func.pg_advisory_lock_shared(_key(run_id))))  # shared by all sessions of the run
            self._held[run_id] = session
        return None

    def _lease(self) -> ColumnElement[Any]:
        return _NOW + LEASE

    def _is_dead(self, connection: Connection, run: RowMapping) -> bool:
        if not connection.execute(select(func.pg_try_advisory_xact_lock(_key(run["id"])))).scalar_one():
            return False
        if run["ended_at"] is not None:
            return True
        return bool(connection.execute(select(literal(run["alive_until"]) < _NOW)).scalar_one())


def _key(run_id: str) -> int:
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8], signed=True)
