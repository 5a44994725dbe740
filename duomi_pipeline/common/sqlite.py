"""What every SQLite file of ours needs."""

import sqlite3
import time
from typing import Any


def write_ahead(connection: Any, patience: float = 30.0) -> None:
    """Switch a database to WAL. Of two that switch a new file at once SQLite refuses one, whatever its timeout.

    Args:
        connection: of `sqlite3`, outside a transaction.
        patience: seconds for which it is tried again.

    Raises:
        sqlite3.OperationalError: it could not be switched for so long.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
