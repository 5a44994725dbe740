"""Databases of servers for tests: on PostgreSQL where `TEST_POSTGRES_URL` names a server."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from duomi_pipeline.ledger.schema import metadata


@contextmanager
def postgres_database() -> Iterator[str]:
    """The URL of a new database, which goes with the test; skips the test where there is no server."""
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        pytest.skip("TEST_POSTGRES_URL names no PostgreSQL server")
    with own_database(server, drop="DROP DATABASE {} WITH (FORCE)") as url:
        yield url


@contextmanager
def own_database(server: str, create: str = "CREATE DATABASE {}", drop: str = "DROP DATABASE {}") -> Iterator[str]:
    """The URL of a new database of a server, which goes at the end."""
    name = f"test_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(create.format(name)))
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(drop.format(name)))
    engine.dispose()


def empty(url: str) -> None:
    """Make a ledger as it was after its first start, whoever still used it."""
    # Not TRUNCATE, which takes a hundred times as long for a few rows.
    clear = [f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)]
    numbered = [table.name for table in metadata.sorted_tables if "id" in table.c and table.c.id.autoincrement is True]
    clear += [f"SELECT setval('{name}_id_seq', 1, false)" for name in numbered]
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
        connection.execute(text("; ".join(clear)))
    engine.dispose()
