"""The homes that `scale` measures in, and its cases: each a command or a step of Dagster in a process of its own.

This process stays small, for the peak memory of the others is never less than its own: it imports nothing of the
package. What it needs done is in `scale_steps`.
"""

import os
import shutil
import time
from pathlib import Path

from duomi_pipeline_tests.bench.measure import Cost, child_cost
from duomi_pipeline_tests.bench.programs import duomi, program, step, step_line, until_request

RUN = 500  # prompts of an image run, the default
TEN = 10  # prompts that change
_TICKS = 4  # of one process
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
        for home, count, kind in ((self._unseen, prompts, source), (self._drawn, 1, source), (self._empty, 0, "table")):
            step("scale_steps.make", home, count, url, kind)  # without a table or a file there would be a warning
        duomi(self._drawn, "generate")
        step("scale_steps.grow", self._drawn, prompts)
        step("scale_steps.draw", self._drawn, prompts)
        step("scale_steps.history", self._drawn)
        for _ in range(2):
            time.sleep(2)  # prompt files that are seconds old are not remembered
            self.plan()

    def find(self) -> Cost:
        """The reference: sizes and times of the pictures, and of the prompt files."""
        return child_cost(["find", *self._looked_at, "-printf", "%s %T@\\n"], self._drawn, os.environ)

    def plan(self) -> Cost:
        """`duomi plan`."""
        return duomi(self._drawn, "plan")

    def ticks(self, *, empty: bool = False) -> list[Cost]:
        """Ticks of the sensor in one process that find nothing to do."""
        home = self._empty if empty else self._drawn
        return step("scale_steps.ticks", home, _TICKS)

    def first_manifest(self) -> Cost:
        """`duomi manifest` where there is none."""
        shutil.rmtree(self._drawn / "out/manifest", ignore_errors=True)
        return self.manifest()

    def manifest(self) -> Cost:
        """`duomi manifest`."""
        return duomi(self._drawn, "manifest")

    def manifest_of_ten(self) -> Cost:
        """`duomi manifest` after ten prompts were edited."""
        step("scale_steps.edit", self._drawn, 1, TEN)
        return self.manifest()

    def first_gallery(self) -> Cost:
        """`duomi gallery` where there is none, but for the thumbnails, which are made once."""
        shutil.rmtree(self._drawn / "out/gallery/data", ignore_errors=True)
        (self._drawn / "out/gallery/.written.json").unlink(missing_ok=True)
        return self.gallery()

    def gallery(self) -> Cost:
        """`duomi gallery`."""
        return duomi(self._drawn, "gallery")

    def gallery_of_ten(self) -> Cost:
        """`duomi gallery` after ten prompts were edited."""
        step("scale_steps.edit", self._drawn, 1, TEN)
        return self.gallery()

    def ten_changed(self) -> Cost:
        """`duomi generate` after ten prompts were edited, until its first request."""
        step("scale_steps.edit", self._drawn, 1, TEN)
        return until_request(self._url, self._drawn, program("generate"), to_its_end=True)

    def one_new(self) -> Cost:
        """`duomi generate` after one prompt was added, until its request."""
        self._prompts += 1
        step("scale_steps.add", self._drawn, self._prompts)
        return until_request(self._url, self._drawn, program("generate"), to_its_end=True)

    def image_run(self) -> Cost:
        """One run of Dagster that buys prompts anew, from its start until its first request; then it is killed."""
        self._runs += 1
        return until_request(
            self._url, self._drawn, step_line("scale_steps.run", self._drawn, 1 + self._runs * RUN, RUN)
        )

    def first_sight(self) -> Cost:
        """`duomi generate` in a home that nobody has looked at, until its first request; then it is killed."""
        for folder, kept in zip((self._unseen, self._unseen / "out"), _UNSEEN, strict=True):
            for path in folder.glob("*"):
                if path.name not in kept:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        return until_request(self._url, self._unseen, program("generate"))
