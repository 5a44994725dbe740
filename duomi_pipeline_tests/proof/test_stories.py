"""Random stories: after each step no promise is broken, and at the end every prompt has its picture.

`python -m duomi_pipeline_tests.proof.machine --stories 200` tells new ones.
"""

from pathlib import Path

from duomi_pipeline_tests.proof.machine import tell, tell_known


def test_no_story_breaks_a_promise(tmp_path: Path) -> None:
    tell(tmp_path / "home", 20, always_the_same=True)


def test_the_known_story_breaks_no_promise(tmp_path: Path) -> None:
    tell_known(tmp_path / "home")
