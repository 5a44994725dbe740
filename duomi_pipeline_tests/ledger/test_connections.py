"""A server has few connections: each program takes a bounded number, and says so where there is none left."""

import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from duomi_pipeline.ledger import Ledger, LedgerError, LedgerUnavailableError
from duomi_pipeline.ledger.postgresql import CONNECTIONS, lock_id
from duomi_pipeline_tests.ledger.test_ledger import bought
from duomi_pipeline_tests.postgres import postgres_database


def test_many_threads_share_few_connections(postgres_url: str, tmp_path: Path) -> None:
    watching = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    seen = []
    with closing(Ledger(postgres_url, tmp_path)) as ledger, watching.connect() as watch, ThreadPoolExecutor(64) as pool:
        ledger.start_run("r", "cli")
        work = [pool.submit(bought, ledger, f"k{number}", f"json_{number}") for number in range(256)]
        while not all(one.done() for one in work):
            others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            seen.append(watch.execute(text(f"SELECT count(*) FROM pg_stat_activity WHERE {others}")).scalar_one())
        assert {one.result().state for one in work} == {"saved"}
    watching.dispose()
    assert 2 < max(seen) <= CONNECTIONS + 1


def test_connections_that_the_server_has_closed_meanwhile_are_made_again(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Ledger(postgres_url, tmp_path)) as ledger:
        ledger.start_run("r", "cli")
        end_connections(postgres_url)
        monkeypatch.setattr("duomi_pipeline.ledger.postgresql._IDLE", 0.0)  # as after some seconds
        assert bought(ledger, "after a pause").state == "saved"
        monkeypatch.setattr("duomi_pipeline.ledger.postgresql._IDLE", 60.0)
        end_connections(postgres_url)  # and the server has said so: to hear that costs no round trip
        assert bought(ledger, "at once").state == "saved"


def test_nobody_waits_for_ever_for_a_program_that_froze_in_a_transaction(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duomi_pipeline.ledger.postgresql._PATIENCE", "-c lock_timeout=300")
    frozen = create_engine(postgres_url)
    with closing(Ledger(postgres_url, tmp_path)) as ledger, frozen.connect() as other:
        ledger.start_run("r", "cli")
        other.execute(text(f"SELECT pg_advisory_xact_lock({lock_id('k')})"))
        with pytest.raises(LedgerUnavailableError, match="lock timeout"):
            ledger.claim("k", "{}", "r")
        other.rollback()
        assert bought(ledger, "k").state == "saved"
    frozen.dispose()


def end_connections(url: str) -> None:
    """As a restart of the server does."""
    engine = create_engine(url)
    with engine.connect() as connection:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(text(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}"))
    engine.dispose()


@pytest.fixture
def narrow_url() -> Iterator[str]:
    """A database for a user who may have one connection."""
    name = f"test_{uuid.uuid4().hex}"
    with postgres_database() as url:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'pass-word' CONNECTION LIMIT 1"))
            connection.execute(text(f"GRANT ALL ON SCHEMA public TO {name}"))
        yield make_url(url).set(username=name, password="pass-word").render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP OWNED BY {name}"))
            connection.execute(text(f"DROP ROLE {name}"))
        engine.dispose()


def test_a_server_without_a_connection_left_is_unavailable_for_now(narrow_url: str, tmp_path: Path) -> None:
    advice = r"too many connections for role .*\. Run fewer workers \(each takes at most 9 connections\)"
    with closing(Ledger(narrow_url, tmp_path)) as ledger:
        with pytest.raises(LedgerUnavailableError, match=advice):
            ledger.start_run("r", "cli")  # needs one more, for its lock
        with pytest.raises(LedgerUnavailableError, match=advice) as caught:
            Ledger(narrow_url, tmp_path)
    assert "pass-word" not in str(caught.value)


def test_a_missing_driver_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(LedgerError, match=r'pip install "duomi-pipeline\[postgres\]"'):
        Ledger("postgresql://me@127.0.0.1/x", tmp_path)


@pytest.mark.parametrize("url", ["mysql+pymysql://me:pass-word@127.0.0.1/x", "postgresql+asyncpg://me:pass-word@h/x"])
def test_another_database_or_driver_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(LedgerError, match="DUOMI_LEDGER_URL") as caught:
        Ledger(url, tmp_path)
    assert "pass-word" not in str(caught.value)
