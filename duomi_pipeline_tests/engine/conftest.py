"""A home folder and a sandbox for each test."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.conftest import on_both_databases as pytest_generate_tests
from duomi_pipeline_tests.engine.home import Home

__all__ = ["pytest_generate_tests"]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxServer]:
    """A service that does everything right until told otherwise; its books are a file."""
    with SandboxServer(faults=Faults(picture="flat"), books_path=tmp_path / "books.db") as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, sandbox: SandboxServer, ledger_url: str) -> Iterator[Home]:
    path = tmp_path / "home"
    path.mkdir()
    with closing(Home(path, sandbox, ledger_url=ledger_url)) as opened:
        yield opened
