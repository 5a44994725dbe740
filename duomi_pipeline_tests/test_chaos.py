"""A bounded part of `make chaos`: the same proof with fewer prompts and kills."""

from pathlib import Path

import pytest

from duomi_pipeline_tests.chaos.faults import FAULTS
from duomi_pipeline_tests.chaos.killing import Plan, prove
from duomi_pipeline_tests.postgres import postgres_database


@pytest.mark.timeout(400)  # a dozen commands one after the other, on a machine with other load
@pytest.mark.parametrize(("protocol", "prompts"), [("async", 12), ("sync", 16)])
def test_killed_again_and_again_nothing_is_lost_and_nothing_bought_twice_but_what_was_on_the_wire(
    tmp_path: Path, protocol: str, prompts: int
) -> None:
    proof = prove(tmp_path, Plan(protocol, prompts, kills=3, seed=5), FAULTS[protocol])
    assert proof.failures() == [], proof.table()
    assert proof.kills >= 1
    assert proof.at_last == prompts, proof.table()


@pytest.mark.timeout(900)  # what a killed worker held is another's after 90 s without a sign of life
def test_two_workers_on_one_ledger_are_killed_again_and_again_and_the_books_are_equal(tmp_path: Path) -> None:
    with postgres_database() as url:
        proof = prove(tmp_path, Plan("async", 12, kills=2, seed=5, workers=2, ledger=url), FAULTS["async"])
    assert proof.failures() == [], proof.table()
    assert (proof.kills >= 1, proof.runs >= 2) == (True, True)
