"""A run in a process of its own, which tests may kill: `python -m duomi_pipeline_tests.engine.worker SPEC`.

The spec is JSON: `home`, `settings`, and optionally `force`, `die_at` (an audit event and which one of them ends
the process with SIGKILL), `max_file_bytes`, `wait_for` (a file to wait for before the run begins), `ahead` (seconds
by which its clock is), `host` (its machine's name), `run_id`,
`ids` (of the prompts to bring to pictures, else all).
"""

import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from duomi_pipeline.engine import NOT_CURRENT, Session
from duomi_pipeline.engine.outcome import Stop
from duomi_pipeline.engine.signals import EXIT_INTERRUPTED, stopped_by_signals
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.settings import Settings

EXIT_CODES = {"service": 3, "cap": 4, "interrupted": EXIT_INTERRUPTED, "store": 5}


def die_at(event: str, number: int) -> None:
    """Kill this process, as kill -9 would, the moment before it does something for a picture for the n-th time."""
    lock, seen, is_mark = threading.Lock(), 0, False

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen, is_mark
        if name == "os.link" and Path(arguments[1]).suffix == ".json":  # the mark of the folder, before all pictures
            is_mark = True
            return
        if name == "os.remove" and is_mark and _is_ours(arguments[0]):
            is_mark = False
            return
        if name == event and (name != "os.remove" or _is_ours(arguments[0])):
            with lock:
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                    time.sleep(60)

    sys.addaudithook(hook)


def _is_ours(path: Any) -> bool:
    """Not one of Python's own temporary files."""
    return Path(path).name.startswith(".duomi-")


def be_elsewhere(host: str, ahead: float = 0.0) -> None:
    """Have the name and the clock of another container."""
    true_time = time.time
    time.time = lambda: true_time() + ahead
    socket.gethostname = lambda: host


def main(spec: dict[str, Any]) -> int:
    """Run, print what became of it as one line of JSON, return the exit code."""
    if "host" in spec:
        be_elsewhere(**{name: spec[name] for name in ("host", "ahead") if name in spec})
    settings = Settings.load(spec["home"], **spec["settings"])
    if limit := spec.get("max_file_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with Session(settings, run_id=spec.get("run_id")) as session:
        plan = session.plan(read_sources(settings).prompts)
        print("planned", flush=True)
        while (gate := spec.get("wait_for")) and not Path(gate).exists():
            time.sleep(0.005)
        if spec.get("die_at"):
            die_at(*spec["die_at"])
        wanted = [entry for entry in plan.wanted(NOT_CURRENT) if entry.prompt.id in spec.get("ids", plan.by_id)]
        with session.generating(wanted) as batch, stopped_by_signals(batch):
            failures = [f"{o.prompt.id}: {o.failure}" for o in batch if o.failure]
        print(json.dumps({"counts": batch.counts, "stop": _text(batch.stop_reason), "failures": failures}))
        return EXIT_CODES[batch.stop_reason.by] if batch.stop_reason else int(bool(failures))


def _text(stop: Stop | None) -> str | None:
    return stop.message if stop else None


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
