"""Programs in processes of their own: `duomi` as it is installed, and steps of a bench, in a home."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from duomi_pipeline_tests.bench.measure import Cost, child_cost, cost_so_far
from duomi_pipeline_tests.bench.service import posted_at, posts
from duomi_pipeline_tests.processes import started

_NOT_TAKEN = ("DUOMI_", "DAGSTER_", "PYTHONDONTWRITEBYTECODE")
_LOOK_EVERY = 0.02  # seconds


def duomi(home: Path, *arguments: str) -> Cost:
    """What a command costs in a home."""
    return child_cost(program(*arguments), home, environment(home))


def until_request(url: str, home: Path, line: Sequence[str], *, to_its_end: bool = False) -> Cost:
    """What a program costs until the service has its first request.

    Wall time begins with the program, or where it prints the time at which it begins.
    """
    before, began = posts(url), time.time()
    with (
        tempfile.TemporaryFile("w+") as printed,
        started(line, env=environment(home), stdout=printed, stderr=subprocess.STDOUT) as process,
    ):
        while posts(url) == before:
            if process.poll() is not None:
                printed.seek(0)
                raise SystemExit(f"{' '.join(line)} sent nothing:\n{printed.read()}")
            time.sleep(_LOOK_EVERY)
        cost = cost_so_far(process.pid)
        if not to_its_end:
            process.kill()
        elif process.wait():
            printed.seek(0)
            raise SystemExit(f"{' '.join(line)} ended with {process.returncode}:\n{printed.read()}")
        printed.seek(0)
        first = printed.readline().strip()
    sent = posted_at(url)[before]
    cost.wall = sent - (float(first) if first.replace(".", "").isdecimal() else began)
    return cost


def program(*arguments: str) -> list[str]:
    """The command line of `duomi`."""
    return [str(Path(sys.executable).with_name("duomi")), *arguments]


def step(name: str, home: Path, *arguments: object) -> list[Cost]:
    """What a step in a process of its own printed that it costs; see `scale_steps` and `million_steps`."""
    ended = subprocess.run(
        step_line(name, home, *arguments), env=environment(home), stdout=subprocess.PIPE, text=True, check=True
    )
    return [Cost(**json.loads(line)) for line in ended.stdout.splitlines()]


def step_line(name: str, home: Path, *arguments: object) -> list[str]:
    """The command line of a step, whose name begins with its module: `scale_steps.edit`."""
    module, function = name.split(".")
    line = [sys.executable, "-m", f"duomi_pipeline_tests.bench.{module}", function, str(home)]
    return [*line, *map(str, arguments)]


def environment(home: Path) -> dict[str, str]:
    """This one without settings of its own, for a home. An installed program has its bytecode, whatever this one says."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_TAKEN)}
    return {**own, "DUOMI_HOME": str(home), "DAGSTER_HOME": str(home / ".dagster_home")}
