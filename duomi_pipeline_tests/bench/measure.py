"""What one case costs: wall time, CPU time and peak memory, of this process or of a program that it starts."""

import json
import os
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass
class Cost:
    """What a case cost.

    Attributes:
        wall, cpu: seconds; CPU of all threads of the process, user and system.
        peak: megabytes, of the whole process since its start, imports included.
        pictures: that were made.
    """

    wall: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0
    pictures: int = 0

    def printed(self) -> None:
        """As one line for the process that started this one."""
        print(json.dumps(asdict(self)), flush=True)


@contextmanager
def measured(cost: Cost) -> Iterator[Cost]:
    """Measure a block."""
    wall, cpu = time.perf_counter(), _cpu()
    yield cost
    cost.wall, cost.cpu = time.perf_counter() - wall, _cpu() - cpu
    cost.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child_cost(line: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Cost:
    """Run a program in a folder until it ends; CPU and memory are its own, without those of its own children.

    Peak memory is never less than that of this process, of which the program's is a copy for a moment.

    Raises:
        SystemExit: it failed; with what it printed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {process.returncode}:\n{printed}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
