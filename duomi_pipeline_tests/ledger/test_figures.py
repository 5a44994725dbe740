"""Sums for monitoring, on both databases: what is counted, what is not, and since when."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from duomi_pipeline.ledger import Billing, BillSum, Ledger, Limits, Purchase, PurchaseState
from duomi_pipeline_tests.postgres import postgres_database


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with ExitStack() as stack:
        url = "sqlite:///ledger.db"
        if request.param == "postgresql":
            url = stack.enter_context(postgres_database())
        opened = Ledger(url, tmp_path)
        opened.start_run("run", "cli")
        yield opened
        opened.close()


def test_an_empty_ledger_has_no_figures(ledger: Ledger) -> None:
    ledger.end_run("run", None, None, {})
    found = ledger.figures(day=0.0, lately=0.0)
    assert (found.saved, found.bills, found.purchases, found.unended) == ({}, (), {}, ())
    assert (found.last_saved_at, found.oldest_ready_at, found.last_run_stopped_by) == (None, None, None)
    assert found.last_run_ended_at is not None


def test_every_post_counts_where_it_belongs(ledger: Ledger) -> None:
    begun = time.time()
    ready = ledger.claim("a" * 64, "{}", "run")
    ledger.answered(ready, send(ledger, ready, price=0.25), ["http://example/1.png"], None)
    lost = ledger.claim("b" * 64, "{}", "run")
    ledger.answer_lost(lost, send(ledger, lost, price=None), "lost_answer", "no answer")
    send(ledger, ledger.claim("c" * 64, "{}", "run"), price=0.25)

    found = ledger.figures(day=begun, lately=begun)
    assert set(found.bills) == {
        BillSum(Billing.BILLED, "CNY", posts=1, pictures=1, amount=0.25, unpriced=0),
        BillSum(Billing.AMBIGUOUS, "CNY", posts=1, pictures=1, amount=0.0, unpriced=1),
        BillSum(Billing.SENT, "CNY", posts=1, pictures=1, amount=0.25, unpriced=0),
    }
    assert found.bills_today == found.bills
    assert ledger.figures(day=time.time() + 86_400, lately=begun).bills_today == ()
    assert found.purchases[PurchaseState.READY, None] == 1
    assert found.purchases[PurchaseState.AMBIGUOUS, "lost_answer"] == 1
    assert found.oldest_ready_at is not None
    assert found.oldest_ready_at >= begun
    assert found.unended == ("run",)


def test_a_stop_of_the_last_run_is_told(ledger: Ledger) -> None:
    ledger.end_run("run", "cap", "reached", {})
    assert ledger.figures(day=0.0, lately=0.0).last_run_stopped_by == "cap"


def send(ledger: Ledger, purchase: Purchase, price: float | None) -> int:
    return ledger.send(purchase, "run", 1, Limits(price=price))
