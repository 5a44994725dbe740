"""PostgreSQL as the ledger uses it: few connections, few round trips, locks by name.

A statement with the execution option `later` is sent together with the next one; its result is not told. So a
transaction takes as many round trips as it has results, and one for the commit. A transaction with the option `once`
has one result, that of its last statement: it is sent whole, and committed by the server with that statement. Over a
network of some milliseconds the round trips are what a step of a purchase costs.
"""

import hashlib
import select
import time
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import ArgumentError, DisconnectionError

CONNECTIONS = 8  # per ledger that is open; one more for each of its runs
LATER = {"later": True}
_DRIVERS = ("postgresql", "postgresql+psycopg2")
# Milliseconds: a program that froze in a transaction holds others up for so long, and nobody waits for ever.
_PATIENCE = "-c lock_timeout=30000 -c idle_in_transaction_session_timeout=20000"
_IDLE = 5.0  # seconds after which a connection is tested before it is used
_RETURNED = "duomi returned at"
_NO_TRANSACTION = 0  # libpq's PQTRANS_IDLE
_pending: WeakKeyDictionary[Any, list[bytes]] = WeakKeyDictionary()  # statements not sent yet, by psycopg2's connection


def open_engine(url: URL) -> Engine:
    """An engine for transactions. It sends BEGIN and COMMIT itself, together with the statements beside them.

    Raises:
        ArgumentError: the URL is of another database, or of another driver.
    """
    if url.drivername not in _DRIVERS:
        raise ArgumentError(f"{url.drivername}:// is none of sqlite://, {'://, '.join(_DRIVERS)}://")
    engine = create_engine(
        url,
        connect_args={"options": _PATIENCE, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3},
        isolation_level="AUTOCOMMIT",
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_use_lifo=True,
        hide_parameters=True,
    )
    event.listen(engine, "checkout", _test_if_idle)
    event.listen(engine, "checkin", _note_return)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "commit", _commit)
    event.listen(engine, "reset", _roll_back)
    event.listen(engine, "do_execute", _execute)
    return engine


def open_sessions(url: URL) -> Engine:
    """An engine whose connections are each closed when they are no longer used."""
    return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool, hide_parameters=True)


def send_later(connection: Connection, sql: str) -> None:
    """Send a statement together with the next one."""
    _pending[_raw(connection)].append(sql.encode())


def lock_id(name: str) -> int:
    """The advisory lock of a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("read_only"):  # all queries of one reader see the same state
        begin = [b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"]
    else:
        begin = [] if options.get("once") else [b"BEGIN"]
    _pending[_raw(connection)] = begin


def _commit(connection: Connection) -> None:
    if not connection.get_execution_options().get("once"):
        connection.exec_driver_sql("COMMIT")


def _roll_back(connection: Any, _record: Any, _state: Any) -> None:
    """Leave no transaction open when a connection returns to the pool, also not after a COMMIT that failed."""
    _pending.pop(connection, None)
    if not connection.closed and connection.info.transaction_status != _NO_TRANSACTION:
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    pending = _pending.setdefault(cursor.connection, [])
    pending.append(cursor.mogrify(statement, parameters))
    if not context.execution_options.get("later"):
        whole = b"; ".join(pending)
        pending.clear()
        cursor.execute(whole)
    return True


def _raw(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _note_return(_connection: Any, record: Any) -> None:
    record.info[_RETURNED] = time.monotonic()


def _test_if_idle(connection: Any, record: Any, _proxy: Any) -> None:
    """As SQLAlchemy's `pool_pre_ping`, which costs a round trip each time."""
    is_fresh = time.monotonic() - record.info.get(_RETURNED, time.monotonic()) < _IDLE
    if is_fresh and not _is_spoken_to(connection):
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except connection.Error as error:
        raise DisconnectionError from error


def _is_spoken_to(connection: Any) -> bool:
    """Whether the server said something that nobody asked for, such as that it closes the connection."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
