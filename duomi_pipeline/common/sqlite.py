"""Setup shared by all SQLite files of this program."""

import sqlite3
import time
from typing import Any


def write_ahead(connection: Any, timeout: float = 30.0) -> None:
    """Switch a database to WAL. If two processes do so at once, SQLite refuses one without waiting.

    Args:
        connection: of `sqlite3`, outside a transaction.
        timeout: seconds for which it is tried again.

    Raises:
        sqlite3.OperationalError: it could not be switched within that time.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
