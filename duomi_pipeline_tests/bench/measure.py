"""What one case costs: time, memory and bytes read, of this process or of a program that it starts."""

import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # of the kernel's clock, per second


@dataclass
class Cost:
    """What a case cost.

    Attributes:
        wall, cpu: seconds; CPU of all threads of the process, user and system.
        peak: megabytes, of the whole process since its start, imports included.
        pictures: that were made.
        read: megabytes that the process asked the kernel for, from disk, cache or network; 0 where not on Linux.
    """

    wall: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0
    pictures: float = 0
    read: float = 0.0

    def printed(self) -> None:
        """As one line for the process that started this one."""
        print(json.dumps(asdict(self)), flush=True)


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(**{part.name: statistics.median(getattr(cost, part.name) for cost in costs) for part in fields(Cost)})


@contextmanager
def measured(cost: Cost) -> Iterator[Cost]:
    """Measure a block."""
    wall, cpu, read = time.perf_counter(), _cpu(), _read(os.getpid())
    yield cost
    cost.wall, cost.cpu, cost.read = time.perf_counter() - wall, _cpu() - cpu, _read(os.getpid()) - read
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
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # with the next wait its counters are gone
    read = _read(process.pid)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {process.returncode}:\n{printed}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, read=read)


def cost_so_far(pid: int) -> Cost:
    """What a process that still works has cost by now, but for its wall time."""
    # The name, which may hold spaces, is in brackets; user and system time are the 14th and 15th value.
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2]
    return Cost(cpu=(int(values[11]) + int(values[12])) / _TICKS, peak=int(status.split()[0]) / 1024, read=_read(pid))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _read(pid: int) -> float:
    try:
        counters = Path(f"/proc/{pid}/io").read_text()
    except FileNotFoundError:
        return 0.0
    return int(counters.split()[1]) / 1e6  # rchar
