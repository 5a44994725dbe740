"""A disk that fills up while paid answers arrive: on a file system of its own, which a test as root can make."""

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.engine import GENERATED_BY_ITSELF
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.engine.home import Home, wait_until

PROMPTS = 8


@pytest.fixture(params=["out/generated_images", "."], ids=["the pictures' disk", "the whole home's disk"])
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder of the home, or all of it, on a file system of 64 MB."""
    folder = tmp_path / "home" / request.param
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's temporary folder, on another disk."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            os.fsync(file.fileno())


def test_bytes_that_came_inside_answers_survive_a_full_disk(
    tmp_path: Path, sandbox: SandboxServer, small_disk: Path, spare: Path, ledger_url: str
) -> None:
    sandbox.change_faults(answer="b64", latency=1.0)
    with closing(Home(tmp_path / "home", sandbox, timeout=10, image_size="720x1280", ledger_url=ledger_url)) as home:
        home.write("first", "a lighthouse")
        home.run(GENERATED_BY_ITSELF)  # a picture just sold: the next ones need no canary, and come all at once
        home.write_many(PROMPTS)

        def wait_and_fill() -> None:
            wait_until(lambda: home.billed == 1 + PROMPTS, "all bills")
            fill(small_disk)

        filler = threading.Thread(target=wait_and_fill)
        filler.start()
        run = home.run(GENERATED_BY_ITSELF)
        filler.join()
        assert run.stop is not None
        assert run.stop.by == "store"
        assert home.billed == 1 + PROMPTS
        (small_disk / "filler").unlink()
        assert home.run(GENERATED_BY_ITSELF).counts["generated"] == PROMPTS
        assert home.posts == home.billed == len(home.infos()) == 1 + PROMPTS
        assert (home.money().billed, home.money().maybe_billed) == (1 + PROMPTS, 0)
        with home.session() as session:
            assert session.kept.all() == []
