"""A home folder of four prompts, and a sandbox that the commands talk to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import write_prompts

TEXTS = {
    "boat": "A red boat on a silver lake, vertical composition",
    "fox": "A fox between birches in the snow",
    "market": "夜市里的面摊，竖幅构图",
    "tower": "A clock tower above the fog",
}


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(faults=Faults(picture="flat")) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, sandbox: SandboxServer) -> Path:
    write_prompts(tmp_path, TEXTS)
    (tmp_path / "duomi.toml").write_text(f'base_url = "{sandbox.url}"\nprice_per_image = 0.1\n')
    return tmp_path
