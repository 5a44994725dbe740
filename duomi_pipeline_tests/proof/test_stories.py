"""Random stories: after each step no promise is broken, and at the end every prompt has its picture.

`DUOMI_TEST_STORIES=500` tells so many new ones; else the same few are told each time.
"""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from duomi_pipeline_tests.proof.machine import Story
from duomi_pipeline_tests.proof.stage import stage

MORE = int(os.environ.get("DUOMI_TEST_STORIES", "0"))


def test_no_story_breaks_a_promise(tmp_path: Path) -> None:
    told = settings(
        max_examples=MORE or 12,
        stateful_step_count=12,
        deadline=None,
        derandomize=not MORE,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    with stage(tmp_path / "home", (), max_attempts=2) as on:
        Story.on = on
        run_state_machine_as_test(Story, settings=told)
