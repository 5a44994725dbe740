"""A home folder whose pictures are made at once."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.engine.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with SandboxServer(faults=Faults(picture="flat"), books_path=tmp_path / "books.db") as server:
        (tmp_path / "home").mkdir()
        with closing(Home(tmp_path / "home", server)) as opened:
            yield opened
