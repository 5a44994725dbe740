"""Processes that tests kill or interrupt, without the second that imports take: forks of one server that has all modules
loaded. Each has its own process id and hears its own signals, as a program does that was started by itself.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import duomi_pipeline.cli

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["duomi_pipeline_tests.cli.preloaded", "duomi_pipeline_tests.engine.worker"])


class Fork:
    """A function in a process of its own, from now on.

    Args:
        function: of a module; its result is the exit code.
        output: a file to which everything is appended that it prints.
        environment: instead of this process's own.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: object,
        output: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        call = (function, arguments, output, dict(environment or os.environ))
        self._process = _FORKS.Process(target=_run, args=call, daemon=True)
        self._process.start()

    def poll(self) -> int | None:
        """The exit code, negative after a signal; `None` while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code at its end; `None` if that did not come in time (seconds)."""
        self._process.join(timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self._process.pid is not None and self.poll() is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it as a power cut would, and wait until it is gone."""
        self.send_signal(signal.SIGKILL)
        self.wait()


def be_duomi(home: Path, *arguments: str) -> None:
    """What the installed script does, for a `Fork`."""
    os.chdir(home)
    sys.argv = ["duomi", *arguments]
    duomi_pipeline.cli.main()


def _run(
    function: Callable[..., object], arguments: tuple[object, ...], output: Path, environment: Mapping[str, str]
) -> None:
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(function(*arguments))  # type: ignore[arg-type]
