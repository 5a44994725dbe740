"""Digests of what results are made of, on both databases: whatever a row shows changes them, and nothing else does."""

from collections.abc import Callable

import pytest

from duomi_pipeline.ledger import Cost, Ledger
from duomi_pipeline.ledger.repair import Findings, Renamed
from duomi_pipeline_tests.ledger.test_ledger import NO_LIMITS, URLS, bought, claim, selection
from duomi_pipeline_tests.ledger.test_register import entry, said


def edited(ledger: Ledger) -> None:
    ledger.register.record([said(entry("a", version="v2"))], None)


def renamed(ledger: Ledger) -> None:
    (record,) = ledger.pictures_of("json_a")
    ledger.adopt(Findings(renamed=(Renamed(record, "another.png", record.bytes),)))


def made_anew(ledger: Ledger) -> None:
    bought(ledger, "m", "json_a")


def removed(ledger: Ledger) -> None:
    ledger.forget(ledger.pictures_of("json_a"))


def billed_again(ledger: Ledger) -> None:
    (picture,) = ledger.pictures_of("json_a")
    with ledger.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE posts SET price = 1.5 WHERE purchase_id = {picture.purchase_id}")


def filled(ledger: Ledger) -> dict[str, str]:
    """The digests of two prompts with a picture; a third has none."""
    ledger.register.record([said(entry("a"), entry("b"), entry("c"))], None)
    bought(ledger, "k", "json_a")
    bought(ledger, "l", "json_b")
    return ledger.results.digests()


@pytest.mark.parametrize("change", [edited, renamed, made_anew, removed, billed_again])
def test_what_a_row_shows_changes_its_digest_alone(ledger: Ledger, change: Callable[[Ledger], None]) -> None:
    before = filled(ledger)
    assert before.keys() == {"json_a", "json_b"}

    change(ledger)

    after = ledger.results.digests()
    assert after["json_b"] == before["json_b"]
    assert after.get("json_a") != before["json_a"]


def test_what_no_row_shows_changes_no_digest(ledger: Ledger) -> None:
    before = filled(ledger)

    ledger.register.record([said(entry("c", text="another", version="v2"))], None)
    ledger.send(claim(ledger, "n"), "r", 1, NO_LIMITS)

    assert ledger.results.digests() == before


def test_a_purchase_costs_what_its_billed_posts_did(ledger: Ledger) -> None:
    purchase = claim(ledger)
    ledger.not_taken(purchase, ledger.send(purchase, "r", 1, NO_LIMITS))
    ledger.answered(purchase, ledger.send(purchase, "r", 2, NO_LIMITS), URLS, 7)
    ledger.saved(ledger.purchase(purchase.id), selection(purchase))

    assert ledger.results.costs([purchase.id, purchase.id + 1]) == {purchase.id: Cost(1.0, "CNY")}
