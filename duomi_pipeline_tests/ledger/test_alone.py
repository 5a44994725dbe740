"""Blocks in which one process at a time is, of all that share a ledger, and what a death in one leaves."""

import subprocess
import sys
import threading
from pathlib import Path

from duomi_pipeline.ledger import Ledger
from duomi_pipeline_tests.processes import started

INSIDE = """
import sys
from pathlib import Path
from duomi_pipeline.ledger import Ledger
with Ledger(sys.argv[1], Path(sys.argv[2])).alone("results"):
    print("inside", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_is_inside_and_a_killed_one_leaves(ledger: Ledger, url: str, tmp_path: Path) -> None:
    inside = threading.Event()

    def enter() -> None:
        with ledger.alone("results"):
            inside.set()

    with started(
        [sys.executable, "-c", INSIDE, url, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        waiting = threading.Thread(target=enter)
        waiting.start()
        with ledger.alone("another name"):
            assert not inside.wait(0.5)
        process.kill()
    waiting.join()

    assert inside.is_set()
