"""Liveness of runs on PostgreSQL: each run holds an advisory lock on a connection of its own.

The server releases the lock when the process dies, but also when the connection breaks. So a run whose lock is free
is alive until its lease expires, by the server's clock, and takes the lock again with its next heartbeat.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, func, select, text
from sqlalchemy.exc import DBAPIError

from duomi_pipeline.ledger.leases import LEASE, Lives
from duomi_pipeline.ledger.postgresql import lock_id, open_sessions

# After a power failure no connection is closed: the server probes it after 30 seconds of silence, three times.
_ASK_FOR_LIFE = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
_LOOK = 0.2  # seconds between two looks whether it is our turn
_NOW = func.extract("epoch", func.clock_timestamp())
# Looks at the lock without taking it: two observers at once would each take the other for the run.
_LOCKED = """EXISTS (
    SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE datname = current_database() AND locktype = 'advisory' AND objsubid = 1 AND granted
    AND (classid::bigint << 32 | objid::bigint) = :lock)"""
_IS_LOCKED = text(f"SELECT {_LOCKED}")
_HAS_EXPIRED = "(:has_ended OR :alive_until < extract(epoch FROM clock_timestamp()))"
_IS_DEAD = text(f"SELECT {_HAS_EXPIRED} AND NOT {_LOCKED}")


class SessionLocks(Lives):
    """Liveness by locks of database sessions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = open_sessions(engine.url)
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
            while not session.execute(select(func.pg_try_advisory_lock(lock_id(name)))).scalar_one():
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
            session.execute(text(_ASK_FOR_LIFE))
            session.execute(select(func.pg_advisory_lock_shared(lock_id(run_id))))  # shared by all sessions of the run
            self._held[run_id] = session
        return None

    def _lease(self) -> ColumnElement[Any]:
        return _NOW + LEASE

    def is_locked(self, connection: Connection, run_id: str) -> bool:
        """See `Lives`."""
        return bool(connection.execute(_IS_LOCKED, {"lock": lock_id(run_id)}).scalar_one())

    def _is_dead(self, connection: Connection, run: RowMapping) -> bool:
        ended = {"has_ended": run["ended_at"] is not None, "alive_until": run["alive_until"]}
        return bool(connection.execute(_IS_DEAD, {**ended, "lock": lock_id(run["id"])}).scalar_one())
