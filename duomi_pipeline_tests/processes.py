"""Processes that tests start: they hear signals wherever the tests run, and none outlives its test."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

IN_A_PID_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def can_have_pid_namespaces() -> bool:
    """Whether a process of ours can be the first one of a pid namespace, as in a container."""
    try:
        return subprocess.run([*IN_A_PID_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def started(line: Sequence[str], **how: Any) -> Iterator["subprocess.Popen[Any]"]:
    """A process that has until the end of the block, and is killed there with its children if the block fails.

    Args:
        line: program and arguments.
        how: further arguments of `subprocess.Popen`.
    """
    process = subprocess.Popen(line, start_new_session=True, **how)
    try:
        with process:  # waits, which may be for ever: the time-out of the test ends that
            try:
                yield process
            except BaseException:
                _kill(process)
                raise
    finally:
        _kill(process)


def _kill(process: "subprocess.Popen[Any]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def hear_ignored_signals() -> None:
    """Give processes that are started from now on the usual effect of SIGINT and SIGHUP.

    A shell ignores SIGINT in background jobs and `nohup` ignores SIGHUP; programs inherit what is ignored, never what
    is handled. So a handler that does nothing keeps this process as it was, and only its children hear the signals.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _do_nothing)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Ignore a signal."""
