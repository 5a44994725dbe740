"""Every interleaving of two runs with a death at each step: nothing is bought twice but what was on the wire.

`DUOMI_TEST_SCHEDULES=3` walks three prompts in minutes; `python -m duomi_pipeline_tests.proof.schedules` prints more.
"""

import os
from pathlib import Path

from duomi_pipeline_tests.proof.schedules import TEXTS, walk
from duomi_pipeline_tests.proof.stage import stage

PROMPTS = int(os.environ.get("DUOMI_TEST_SCHEDULES", "1"))


def test_no_interleaving_of_two_runs_breaks_a_promise(tmp_path: Path) -> None:
    with stage(tmp_path / "home", TEXTS[:PROMPTS]) as on:
        found = walk(on, reduced=True)
    assert not found.violations, found.shortest()
    assert len(found.graph) > 200
    assert len(found.ends) > 20
