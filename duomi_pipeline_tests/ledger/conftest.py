"""Ledgers on one database: SQLite always, PostgreSQL where `TEST_POSTGRES_URL` names a server."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from duomi_pipeline.ledger import Ledger
from duomi_pipeline_tests.conftest import on_both_databases as pytest_generate_tests

__all__ = ["pytest_generate_tests"]
Opener = Callable[[], Ledger]


@pytest.fixture
def url(ledger_url: str) -> str:
    """An empty database for each test."""
    return ledger_url.replace("out/", "")


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


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that takes no locks, as some network folders."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
