"""The homes that `scale` measures in, and its cases: each a command or a step of Dagster in a process of its own.

This process stays small, for the peak memory of the others is never less than its own: it imports nothing of the
package. What it needs done is in `scale_steps`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from duomi_pipeline_tests.bench.measure import Cost, child_cost, cost_so_far
from duomi_pipeline_tests.bench.service import posted_at, posts
from duomi_pipeline_tests.processes import started

RUN = 500  # prompts of an image run, the default
TEN = 10  # prompts that change
_TICKS = 4  # of one process
_LOOK_EVERY = 0.02  # seconds
_UNSEEN = {"duomi.toml", "data", "out"}, {"prompt_json"}  # what a home holds before its first look, and its `out`


class ScaleHome:
    """A home in which every prompt has its picture, one in which none was ever looked at, and one without prompts.

    Args:
        folder: of the homes.
        source: `table` or `files`.
        prompts: of each of the first two.
        url: of the sandbox, whose answers take long enough to look at a process that waits for one.
    """

    def __init__(self, folder: Path, source: str, prompts: int, url: str) -> None:
        self._drawn, self._unseen, self._empty = folder / "drawn", folder / "unseen", folder / "empty"
        self._url, self._prompts, self._runs = url, prompts, 0
        pictures, files = self._drawn / "out/generated_images", self._drawn / "out/prompt_json"
        self._looked_at = [str(pictures), *([str(files)] if source == "files" else [])]
        _step("make", self._drawn, prompts, prompts - 1, url, source)
        _step("make", self._unseen, prompts, 0, url, source)
        _step("make", self._empty, 0, 0, url, "table")  # without a table or a file there would be a warning
        last = f"db_{prompts}" if source == "table" else f"json_{prompts:06}"
        _duomi(self._drawn, "generate", "--prompt-id", last)
        _step("history", self._drawn, last)
        for _ in range(2):
            time.sleep(2)  # prompt files that are seconds old are not remembered
            self.plan()

    def find(self) -> Cost:
        """The reference: sizes and times of the pictures, and of the prompt files."""
        return child_cost(["find", *self._looked_at, "-printf", "%s %T@\\n"], self._drawn, os.environ)

    def plan(self) -> Cost:
        """`duomi plan`."""
        return _duomi(self._drawn, "plan")

    def ticks(self, *, empty: bool = False) -> list[Cost]:
        """Ticks of the sensor in one process that find nothing to do."""
        home = self._empty if empty else self._drawn
        return [Cost(**json.loads(line)) for line in _step("ticks", home, _TICKS).splitlines()]

    def first_manifest(self) -> Cost:
        """`duomi manifest` where there is none."""
        shutil.rmtree(self._drawn / "out/manifest", ignore_errors=True)
        return self.manifest()

    def manifest(self) -> Cost:
        """`duomi manifest`."""
        return _duomi(self._drawn, "manifest")

    def manifest_of_ten(self) -> Cost:
        """`duomi manifest` after ten prompts were edited."""
        _step("edit", self._drawn, 1, TEN)
        return self.manifest()

    def ten_changed(self) -> Cost:
        """`duomi generate` after ten prompts were edited, until its first request."""
        _step("edit", self._drawn, 1, TEN)
        return self._until_request(self._drawn, _program("generate"), to_its_end=True)

    def one_new(self) -> Cost:
        """`duomi generate` after one prompt was added, until its request."""
        self._prompts += 1
        _step("add", self._drawn, self._prompts)
        return self._until_request(self._drawn, _program("generate"), to_its_end=True)

    def image_run(self) -> Cost:
        """One run of Dagster that buys prompts anew, from its start until its first request; then it is killed."""
        self._runs += 1
        return self._until_request(self._drawn, _step_line("run", self._drawn, 1 + self._runs * RUN, RUN))

    def first_sight(self) -> Cost:
        """`duomi generate` in a home that nobody has looked at, until its first request; then it is killed."""
        for folder, kept in zip((self._unseen, self._unseen / "out"), _UNSEEN, strict=True):
            for path in folder.glob("*"):
                if path.name not in kept:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        return self._until_request(self._unseen, _program("generate"))

    def _until_request(self, home: Path, line: Sequence[str], *, to_its_end: bool = False) -> Cost:
        """What a program costs until the service has its first request.

        Wall time begins with the program, or where it prints the time at which it begins.
        """
        before, began = posts(self._url), time.time()
        with (
            tempfile.TemporaryFile("w+") as printed,
            started(line, env=_environment(home), stdout=printed, stderr=subprocess.STDOUT) as process,
        ):
            while posts(self._url) == before:
                if process.poll() is not None:
                    printed.seek(0)
                    raise SystemExit(f"{' '.join(line)} sent nothing:\n{printed.read()}")
                time.sleep(_LOOK_EVERY)
            cost = cost_so_far(process.pid)
            if to_its_end:
                process.wait()
            else:
                process.kill()
            printed.seek(0)
            first = printed.readline().strip()
        sent = posted_at(self._url)[before]
        cost.wall = sent - (float(first) if first.replace(".", "").isdecimal() else began)
        return cost


def _duomi(home: Path, *arguments: str) -> Cost:
    return child_cost(_program(*arguments), home, _environment(home))


def _program(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("duomi")), *arguments]


def _step(step: str, home: Path, *arguments: object) -> str:
    """What a step printed; see `scale_steps`."""
    ended = subprocess.run(
        _step_line(step, home, *arguments), env=_environment(home), stdout=subprocess.PIPE, text=True, check=True
    )
    return ended.stdout


def _step_line(step: str, home: Path, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "duomi_pipeline_tests.bench.scale_steps", step, str(home), *map(str, arguments)]


def _environment(home: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DUOMI_", "DAGSTER_"))}
    return {**own, "DUOMI_HOME": str(home), "DAGSTER_HOME": str(home / ".dagster_home")}
