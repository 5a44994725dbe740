"""Ledgers on one database: SQLite always, PostgreSQL where `TEST_POSTGRES_URL` names a server."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from duomi_pipeline.ledger import Ledger

Opener = Callable[[], Ledger]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of its own for each test."""
    if request.param == "sqlite":
        yield "sqlite:///ledger.db"
        return
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        pytest.skip("TEST_POSTGRES_URL names no PostgreSQL server")
    name = f"ledger_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def opened(tmp_path: Path, url: str) -> Iterator[Opener]:
    """Opens the database once more, as another run would."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Ledger(url, tmp_path)))


@pytest.fixture
def ledger(opened: Opener) -> Ledger:
    """A ledger with a living run `r`."""
    found = opened()
    found.start_run("r", "cli")
    return found
