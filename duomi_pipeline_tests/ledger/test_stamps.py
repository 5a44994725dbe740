"""The mark of a ledger, on both databases: another one after whatever a plan or a manifest depends on, else the same."""

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from duomi_pipeline.ledger import Changes, Ledger, PurchaseState
from duomi_pipeline.ledger.copy import copy_ledger
from duomi_pipeline.ledger.repair import Findings
from duomi_pipeline_tests.ledger.test_ledger import NO_LIMITS, bought, claim, selection
from duomi_pipeline_tests.ledger.test_register import A_LOOK, entry, said
from duomi_pipeline_tests.ledger.test_results import billed_again, edited, filled, made_anew, removed, renamed


def claimed(ledger: Ledger) -> None:
    claim(ledger, "n")


def sent(ledger: Ledger) -> None:
    ledger.send(claim(ledger, "n"), "r", 1, NO_LIMITS)


def failed(ledger: Ledger) -> None:
    ledger.ended(claim(ledger, "n"), PurchaseState.FAILED, "refused", "", "no")


def found_foreign(ledger: Ledger) -> None:
    ledger.adopt(Findings(foreign={"cat.png": 9}))


def chosen(ledger: Ledger) -> None:
    (picture,) = ledger.pictures_of("json_b")
    ledger.select(replace(selection(ledger.purchase(picture.purchase_id), "json_b"), selected_at=9.0))


def retired(ledger: Ledger) -> None:
    gone = ledger.register.prompts(["json_a"])[0]
    ledger.register.record([said(replace(gone, version="v3"))], None)


CHANGES = [
    edited, renamed, made_anew, removed, billed_again, claimed, sent, failed, found_foreign, chosen, retired
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_gives_another_mark(
    ledger: Ledger, opened: Callable[[], Ledger], change: Callable[[Ledger], None]
) -> None:
    filled(ledger)
    before = ledger.mark()
    assert opened().mark() == before

    change(ledger)

    assert opened().mark() == ledger.mark() != before


def test_what_is_noted_of_an_unchanged_ledger_leaves_its_mark(ledger: Ledger) -> None:
    filled(ledger)
    before = ledger.mark()

    ledger.settle("basis", {"json_a": ("v1", "k")})
    ledger.renew_run("r")
    ledger.set_fact("a", "b")
    ledger.register.record([Changes(replace(A_LOOK, changes=0), marks={"json_a": 5})], None)

    assert ledger.mark() == before


def test_a_change_that_is_taken_back_leaves_the_mark(ledger: Ledger) -> None:
    filled(ledger)
    before = ledger.mark()

    with pytest.raises(ZeroDivisionError), ledger.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM pictures")
        raise ZeroDivisionError

    assert ledger.mark() == before


def test_a_restored_ledger_never_has_the_mark_of_what_came_after_the_copy(tmp_path: Path) -> None:
    """Though as many things have happened to it since, and as many looks."""
    marks = []
    with closing(Ledger("sqlite:///ledger.db", tmp_path)) as ledger:
        ledger.start_run("r", "cli")
        filled(ledger)
    shutil.copyfile(tmp_path / "ledger.db", tmp_path / "copy.db")
    for number in range(2):
        shutil.copyfile(tmp_path / "copy.db", tmp_path / "ledger.db")
        with closing(Ledger("sqlite:///ledger.db", tmp_path)) as ledger:
            look = replace(A_LOOK, looked_at=100.0 + number, changes=1)
            ledger.register.record([Changes(look, [entry("a", version=f"v{number}")])], None)
            bought(ledger, "m", "json_a")
            marks.append(ledger.mark())

    assert marks[0].look_id == marks[1].look_id
    assert marks[0].looked_at != marks[1].looked_at
    assert marks[0].pictures != marks[1].pictures


def test_only_what_later_looks_changed_has_changed(ledger: Ledger) -> None:
    assert ledger.register.changed_since(ledger.mark()) == set()
    filled(ledger)
    before = ledger.mark()
    ledger.register.record([Changes(replace(A_LOOK, changes=0))], None)
    assert ledger.register.changed_since(before) == set()

    edited(ledger)

    assert ledger.register.changed_since(before) == {"json_a"}
    assert ledger.register.changed_since(before._replace(looked_at=7.5)) is None, "a look of another ledger"


def test_a_copy_has_a_mark_of_its_own(ledger: Ledger, tmp_path: Path) -> None:
    filled(ledger)
    ledger.end_run("r", None, None, {})
    with closing(Ledger("sqlite:///other.db", tmp_path)) as other:
        copy_ledger(ledger, other)
        assert other.mark().pictures not in (0, ledger.mark().pictures)
