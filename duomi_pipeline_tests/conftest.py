"""Fixtures of all tests. What only one layer needs stands in that layer's tests."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

# First: it asks the garbage collector who holds its sources of randomness, and a command hides all that it imports.
import hypothesis  # noqa: F401
import pytest

from duomi_pipeline.ledger import Ledger
from duomi_pipeline_tests.migrations import read_once
from duomi_pipeline_tests.postgres import empty, postgres_database
from duomi_pipeline_tests.processes import hear_ignored_signals

hear_ignored_signals()
read_once()
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting and no proxy of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith("DUOMI_") or name.upper() in _PROXIES:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def _postgres_ledger() -> Iterator[str]:
    with postgres_database() as url:
        with closing(Ledger(url, Path())):
            pass
        yield url


@pytest.fixture
def ledger_url(request: pytest.FixtureRequest) -> str:
    """The ledger of a home: SQLite, or an empty one on PostgreSQL where `on_both_databases` says so."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return "sqlite:///out/ledger.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def postgres_url(_postgres_ledger: str) -> str:
    """An empty ledger on PostgreSQL."""
    empty(_postgres_ledger)
    return _postgres_ledger


def on_both_databases(metafunc: pytest.Metafunc) -> None:
    """Run a test that has a ledger on SQLite and on PostgreSQL, but once where it is about the files of SQLite."""
    if "ledger_url" in metafunc.fixturenames and metafunc.definition.get_closest_marker("sqlite_files") is None:
        metafunc.parametrize("ledger_url", ["sqlite", "postgresql"], indirect=True)


# Files whose few tests take long: begun last, one of them would keep all other processes waiting at the end.
_LONG = (
    "test_readme.py",
    "test_chaos.py",
    "test_parity.py",
    "test_browser.py",
    "test_generate.py",
    "test_first_start.py",
    "test_dev.py",
    "test_wheel.py",
    "test_alerts.py",
    "test_conclusions.py",
    "test_bounds.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files."""
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG))
