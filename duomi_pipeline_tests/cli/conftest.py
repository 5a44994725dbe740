"""A home folder of four prompts, and a sandbox that the commands talk to.

Dagster's databases are there, still empty: making them takes longer than a copy. What a first start does is
`test_first_start`'s matter.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from duomi_pipeline.orchestration.instance import open_instance
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import Settings
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


@pytest.fixture(scope="session")
def empty_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("DUOMI_")]:
            patch.delenv(name)
        patch.setenv("DAGSTER_HOME", str(home / ".dagster_home"))
        with open_instance(Settings.load(home)):
            pass
    return home / ".dagster_home"


@pytest.fixture
def home(tmp_path: Path, sandbox: SandboxServer, empty_history: Path) -> Path:
    shutil.copytree(empty_history, tmp_path / ".dagster_home")
    write_prompts(tmp_path, TEXTS)
    (tmp_path / "duomi.toml").write_text(f'base_url = "{sandbox.url}"\nprice_per_image = 0.1\n')
    return tmp_path
