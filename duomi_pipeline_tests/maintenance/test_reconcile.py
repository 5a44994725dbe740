"""Ledger and folder compared, and mended."""

import pytest

from duomi_pipeline.engine import Session, State
from duomi_pipeline.maintenance.reconcile import repair, survey
from duomi_pipeline_tests.engine.home import Home


def test_a_lost_ledger_is_rebuilt_from_the_pictures_with_states_reuse_and_money(home: Home) -> None:
    home.write_many(3)
    home.write("twin", "a lighthouse")
    home.write("other_twin", "a lighthouse")
    home.run(price_per_image=0.5)
    assert home.billed == 4
    for file in (home.path / "out").glob("ledger.db*"):
        file.unlink()

    settings = home.settings(price_per_image=0.5)
    with Session(settings) as session:
        repair(session, survey(session))
        money = session.ledger.money()

    assert (money.billed, money.reused) == (4, 1)
    assert money.spent == pytest.approx(2.0)
    assert home.state("twin") is home.state("other_twin") is State.CURRENT
    home.run(price_per_image=0.5)
    assert home.billed == 4, "nothing is bought again"


def test_mending_twice_changes_nothing(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    with Session(home.settings()) as session:
        before = session.ledger.saved_files()
        repair(session, survey(session))
        assert session.ledger.saved_files() == before


def test_files_that_are_gone_are_forgotten_but_what_they_cost_is_not(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run(price_per_image=0.5)
    home.files()[0].unlink()
    with Session(home.settings()) as session:
        assert len(survey(session).gone) == 1
        repair(session, survey(session))
        assert survey(session).gone == ()
        assert session.ledger.money().spent == pytest.approx(0.5)
    assert home.state("a") is State.MISSING


@pytest.mark.parametrize("lose_ledger", [False, True])
def test_a_copy_of_a_picture_is_neither_recorded_nor_counted_again(home: Home, lose_ledger: bool) -> None:
    home.write("a", "a lighthouse")
    home.run(price_per_image=0.5)
    (original,) = home.files()
    copy = original.with_name(f"{original.stem} copy.png")
    copy.write_bytes(original.read_bytes())
    if lose_ledger:
        for file in (home.path / "out").glob("ledger.db*"):
            file.unlink()
    for _ in range(2):
        with Session(home.settings(price_per_image=0.5)) as session:
            found = survey(session)
            assert found.foreign == (copy.name,)
            repair(session, found)
            assert session.ledger.money().spent == pytest.approx(0.5)
    assert home.state("a") is State.CURRENT


def test_a_picture_that_was_given_another_name_is_recorded_under_it(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    (original,) = home.files()
    original.rename(original.with_name("renamed.png"))
    with Session(home.settings()) as session:
        repair(session, survey(session))
        assert [file.file for files in session.ledger.saved_files().values() for file in files] == ["renamed.png"]
    assert home.state("a") is State.CURRENT


def test_foreign_and_damaged_files_are_left_alone(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    foreign = home.files()[0].with_name("holiday.png")
    foreign.write_bytes(b"not ours")
    with Session(home.settings()) as session:
        found = survey(session)
        assert found.foreign == ("holiday.png",)
        repair(session, found)
    assert foreign.read_bytes() == b"not ours"
