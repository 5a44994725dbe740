"""A bounded part of `make chaos`: the same proof with fewer prompts and kills."""

from pathlib import Path

import pytest

from duomi_pipeline_tests.chaos import FAULTS, prove


@pytest.mark.timeout(400)  # a dozen commands one after the other, on a machine with other load
@pytest.mark.parametrize(("protocol", "prompts"), [("async", 12), ("sync", 16)])
def test_killed_again_and_again_nothing_is_lost_and_nothing_bought_twice_but_what_was_on_the_wire(
    tmp_path: Path, protocol: str, prompts: int
) -> None:
    proof = prove(tmp_path, protocol, prompts, kills=3, faults=FAULTS[protocol], seed=5)
    assert proof.failures() == [], proof.table()
    assert proof.kills >= 1
    assert proof.at_last == prompts, proof.table()
