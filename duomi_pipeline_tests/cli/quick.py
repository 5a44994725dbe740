"""Commands without the seconds that imports take: each is a fork of one process that has all modules loaded.

What runs in the fork is what the installed script runs, with its own arguments, environment, folder and output. For
tests of many commands; those of signals, terminals and start-up use `harness.duomi`, the installed script itself.
"""

import atexit
import contextlib
import functools
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from duomi_pipeline_tests.cli.harness import command
from duomi_pipeline_tests.processes import started

_SHIM = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    call = {{"argv": sys.argv, "environment": dict(os.environ), "folder": os.getcwd()}}
    socket.send_fds(server, [json.dumps(call).encode() + b"\\n"], [0, 1, 2])
    sys.exit(int(server.recv(16) or 1))
"""


class Quick:
    """Runs commands.

    Args:
        shims: a folder in which `duomi` and `python` stand.
    """

    def __init__(self, shims: Path) -> None:
        self._shims = shims

    def shell(self, line: str, folder: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        """Run a line in a shell, in which `duomi` and `python -c` are quick."""
        env = {**environment, "PATH": f"{self._shims}:{environment['PATH']}"}
        return subprocess.run(
            line, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=90, check=False
        )

    def duomi(self, home: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a `duomi` to its end, as `harness.duomi` does."""
        line, env = command(home, *arguments, **environment)
        line[0] = str(self._shims / "duomi")
        encoding = env.get("PYTHONIOENCODING", "utf-8")
        return subprocess.run(line, env=env, cwd=home, capture_output=True, encoding=encoding, timeout=90, check=False)


def duomi(home: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a `duomi` to its end, as `harness.duomi` does; all tests of a process share one server."""
    return shared().duomi(home, *arguments, **environment)


@functools.cache
def shared() -> Quick:
    """The commands of all tests of a process."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(quick_commands(Path(stack.enter_context(tempfile.TemporaryDirectory()))))


@contextlib.contextmanager
def quick_commands(folder: Path) -> Iterator[Quick]:
    """Commands that are quick as long as the block lasts; their server and shims stand in a folder."""
    address = str(folder / "server")
    for name in ("duomi", "python"):
        (folder / name).write_text(_SHIM.format(python=sys.executable, address=address))
        (folder / name).chmod(0o755)
    line = [sys.executable, "-m", "duomi_pipeline_tests.cli.quick", address]
    with started(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield Quick(folder)


def _serve(address: str) -> None:
    """Import everything once, then fork for each call, one after the other, until stdin is closed."""
    import_module("duomi_pipeline_tests.cli.preloaded")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            with connection:
                _answer(connection)


def _answer(connection: socket.socket) -> None:
    data, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not data.endswith(b"\n"):
        data += connection.recv(1 << 20)
    child = os.fork()
    if child == 0:
        _run(json.loads(data), files)
    for file in files:
        os.close(file)
    _, status = os.waitpid(child, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _run(call: Mapping[str, Any], files: list[int]) -> None:
    """Be the command, and end with its exit code."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv, code = call["argv"], 1
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")  # as Python does at its start
    sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115 - until the end
    sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    try:
        _main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - shown as Python itself shows it at the end of a script
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main() -> None:
    if Path(sys.argv[0]).name == "python":
        _, flag, code = sys.argv
        assert flag == "-c"
        exec(code, {"__name__": "__main__"})
    else:
        import_module("duomi_pipeline.cli").main()


if __name__ == "__main__":
    _serve(sys.argv[1])
