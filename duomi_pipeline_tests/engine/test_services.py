"""Two services in turn on one home: what was begun at one is nobody else's, and their money is not added up."""

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from duomi_pipeline.engine import GENERATED_BY_ITSELF
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, BEFORE_THE_DOWNLOAD, Home, wait_until


@pytest.fixture
def other() -> Iterator[SandboxServer]:
    """Another service, which does everything right."""
    with SandboxServer(faults=Faults(picture="flat")) as server:
        yield server


def fails_as_elsewhere(home: Home, base_url: str, **changes: Any) -> None:
    run = home.run(GENERATED_BY_ITSELF, base_url=base_url, **changes)
    assert [outcome.failure and outcome.failure.error_class for outcome in run.outcomes] == ["task_elsewhere"]


def test_a_task_is_never_asked_for_at_another_service(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write("a", "a lighthouse")
    home.run(GENERATED_BY_ITSELF, task_timeout=0.1, **ASYNCHRONOUS)
    with ScriptedService(Answer("")) as stranger:
        fails_as_elsewhere(home, stranger.url, **ASYNCHRONOUS)
        assert stranger.asked == []
    home.sandbox.change_faults(task_seconds=0)
    assert home.run(GENERATED_BY_ITSELF, **ASYNCHRONOUS).counts["generated"] == 1
    assert (home.posts, home.billed) == (1, 1)


@pytest.mark.parametrize("settings", [{}, ASYNCHRONOUS], ids=["sync", "async"])
def test_a_relative_address_is_never_asked_for_at_another_service(home: Home, settings: dict[str, Any]) -> None:
    home.sandbox.change_faults(answer="relative_url")
    home.write("a", "a lighthouse")
    assert home.worker(spec={"die_at": BEFORE_THE_DOWNLOAD}, **settings).result()["exit"] == -9
    if settings:  # its tasks tell whole addresses: let this one tell what services with relative ones tell
        ((told,),) = home.sql("SELECT answer FROM purchases")
        relative = json.dumps([url.removeprefix(home.sandbox.url) for url in json.loads(told)])
        home.sql("UPDATE purchases SET answer = :relative", relative=relative)
    with ScriptedService(Answer("")) as stranger:
        fails_as_elsewhere(home, stranger.url, **settings)
        assert stranger.asked == []
    assert home.run(GENERATED_BY_ITSELF, **settings).counts["generated"] == 1
    assert (home.posts, home.billed) == (1, 1)


def test_fresh_addresses_for_a_task_are_asked_for_only_where_it_was_made(home: Home) -> None:
    home.sandbox.change_faults(url_lifetime=60, poll_renews_url=True)
    home.write("a", "a lighthouse")
    assert home.worker(spec={"die_at": BEFORE_THE_DOWNLOAD}, **ASYNCHRONOUS).result()["exit"] == -9
    with closing(sqlite3.connect(home.path.parent / "books.db", isolation_level=None)) as books:
        books.execute("UPDATE purchases SET url_since = 0")
    with ScriptedService(Answer("")) as stranger:
        for _ in range(3):
            fails_as_elsewhere(home, stranger.url, **ASYNCHRONOUS)
        assert stranger.asked == []
    assert home.purchase_states() == ["ready"]
    assert home.run(GENERATED_BY_ITSELF, **ASYNCHRONOUS).counts["generated"] == 1
    assert (home.posts, home.billed) == (1, 1)


def test_a_lost_answer_stays_with_the_service_that_may_have_billed_it(home: Home, other: SandboxServer) -> None:
    home.sandbox.change_faults(latency=600)
    home.write("a", "a lighthouse")
    worker = home.worker().planned()
    wait_until(lambda: home.billed == 1, "the bill")
    worker.kill()
    home.sandbox.change_faults(latency=0)
    with home.session() as session:
        here = session.settings.service_identity
    run = home.run(GENERATED_BY_ITSELF, base_url=other.url)
    assert run.outcome("a").files
    with home.session(base_url=other.url) as session:
        there, key = session.settings.service_identity, run.outcome("a").request.key
        assert [(one.service, one.state) for one in session.ledger.purchases_of([key])] == [
            (here, "failed"),
            (there, "saved"),
        ]
        assert session.ledger.has_sold(there)
        assert not session.ledger.has_sold(here)
        assert (session.ledger.money().billed, session.ledger.money().maybe_billed) == (1, 1)
    assert (home.billed, other.books.billed()) == (1, 1)


@pytest.mark.sqlite_files
def test_a_kept_task_is_not_asked_for_at_another_service(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duomi_pipeline.engine.ledger_retry.PATIENCE", 0.2)
    monkeypatch.setattr("duomi_pipeline.ledger.database.LOCK_WAIT", 0.1)
    home.sandbox.change_faults(latency=0.5)
    home.write("a", "a lighthouse")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(home.run, GENERATED_BY_ITSELF, **ASYNCHRONOUS)
        wait_until(lambda: home.billed == 1, "the bill")
        with closing(sqlite3.connect(home.path / "out" / "ledger.db", timeout=30, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            assert running.result().stop is not None
    with ScriptedService(Answer("")) as stranger:
        status = json.loads(duomi(home.path, "status", "--json", DUOMI_BASE_URL=stranger.url).stdout)
        assert [(one["purchases"], one["is_here"]) for one in status["waiting"]] == [(1, False)]
        fails_as_elsewhere(home, stranger.url, **ASYNCHRONOUS)
        assert stranger.asked == []
    assert home.run(GENERATED_BY_ITSELF, **ASYNCHRONOUS).counts["generated"] == 1
    assert (home.posts, home.billed, home.money().billed, home.money().maybe_billed) == (1, 1, 1, 0)


def test_status_tells_what_waits_where(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write_many(2)
    home.run(GENERATED_BY_ITSELF, task_timeout=0.1, api_key="abc", **ASYNCHRONOUS)
    environment = {"DUOMI_BASE_URL": home.sandbox.url, "DUOMI_API_KEY": "abc", "DUOMI_LEDGER_URL": home.ledger_url}
    (waiting,) = json.loads(duomi(home.path, "status", "--json", **environment).stdout)["waiting"]
    assert waiting == {"service": home.sandbox.url, "key": waiting["key"], "purchases": 2, "is_here": True}
    here = f"2 purchases wait at {home.sandbox.url} (key {waiting['key']})"
    assert f"{here}: the next run fetches the pictures." in duomi(home.path, "status", **environment).stdout
    elsewhere = duomi(home.path, "status", **environment | {"DUOMI_API_KEY": "another"}).stdout
    assert f"{here}: to get the pictures, set DUOMI_BASE_URL and DUOMI_API_KEY to these again." in elsewhere


def test_status_leaves_to_a_run_at_work_what_it_waits_for(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write_many(2)
    working = home.worker(api_key="abc", **ASYNCHRONOUS)
    wait_until(lambda: home.billed == 2, "both tasks to run")
    wait_until(lambda: home.purchase_states() == ["submitted"] * 2, "both tasks to be recorded")
    environment = {"DUOMI_BASE_URL": home.sandbox.url, "DUOMI_API_KEY": "abc", "DUOMI_LEDGER_URL": home.ledger_url}
    assert (
        ": the run at work, or the next one, fetches the pictures." in duomi(home.path, "status", **environment).stdout
    )
    working.kill()
    assert ": the next run fetches the pictures." in duomi(home.path, "status", **environment).stdout


# --- money --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", ["max_spend_per_day", "max_spend_per_run"])
def test_a_cap_lets_nothing_through_where_its_amounts_are_in_two_currencies(home: Home, cap: str) -> None:
    capped: dict[str, Any] = {cap: 100}
    home.write_many(2)
    home.run(GENERATED_BY_ITSELF, currency="USD")
    home.write_many(4)
    run_id = None if cap == "max_spend_per_day" else home_run_id(home)
    with home.session(**capped) as session:
        session.run_id = run_id or session.run_id
        with session.generating(session.plan(prompts_of(home)).wanted(GENERATED_BY_ITSELF)) as batch:
            assert [outcome.status for outcome in batch] == []
    stop = batch.stop_reason
    assert stop is not None
    assert stop.by == "cap"
    assert f"DUOMI_{cap.upper()}=100 cannot be checked" in stop.message
    assert "paid in USD, and DUOMI_CURRENCY=CNY" in stop.message
    assert "set DUOMI_CURRENCY=USD" in stop.advice
    assert home.posts == 2
    assert home.run(GENERATED_BY_ITSELF, currency="USD", **capped).counts["generated"] == 2


def home_run_id(home: Home) -> str:
    with home.session() as session:
        last = session.ledger.last_run()
        assert last is not None
        return last.id


def prompts_of(home: Home) -> Any:
    return [entry.prompt for entry in home.plan().entries]


def test_amounts_of_two_currencies_are_told_one_by_one_and_never_as_a_sum(home: Home) -> None:
    home.write_many(2)
    home.run(GENERATED_BY_ITSELF, currency="USD")
    assert home.money().spent == pytest.approx(0.2)
    assert home.money().currency == "USD"
    status = duomi(home.path, "status", DUOMI_BASE_URL=home.sandbox.url, DUOMI_LEDGER_URL=home.ledger_url).stdout
    assert "2 pictures billed, 0.20 USD" in status
    home.write_many(5)
    home.run(GENERATED_BY_ITSELF)
    money = home.money()
    assert (money.billed, money.spent, money.currency) == (5, None, None)
    assert money.amounts == {"USD": pytest.approx(0.2), "CNY": pytest.approx(0.3)}
    status = duomi(home.path, "status", DUOMI_BASE_URL=home.sandbox.url, DUOMI_LEDGER_URL=home.ledger_url).stdout
    assert "5 pictures billed, 0.30 CNY and 0.20 USD" in status
    spend = json.loads(
        duomi(home.path, "status", "--json", DUOMI_BASE_URL=home.sandbox.url, DUOMI_LEDGER_URL=home.ledger_url).stdout
    )["spend"]
    assert spend["total"]["spent"] is None
    assert spend["total"]["amounts"] == {"CNY": pytest.approx(0.3), "USD": pytest.approx(0.2)}
