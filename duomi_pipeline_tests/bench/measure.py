"""What one case costs: wall time, CPU time of this process, peak memory."""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass


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


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
