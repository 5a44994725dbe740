"""Serve Dagster's UI like `dagster dev`, behind the guard: the webserver in this process, with code servers and daemon.

`dagster dev` accepts no middleware. This module uses the same internal parts of Dagster; tests start them, because they
are not a public API.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvicorn
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._cli.utils import get_instance_for_cli
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.cli import DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_MAX_OVERFLOW, DEFAULT_POOL_RECYCLE

from duomi_pipeline.orchestration.instance import open_instance, prepare_dagster_home, workspace_target
from duomi_pipeline.orchestration.webserver.ui import interrupt, ui_server
from duomi_pipeline.settings import Settings

_DAEMON_STOPS_WITHIN = 60


class DaemonEndedError(Exception):
    """Dagster's daemon ended by itself: sensors, schedules and queued runs would wait for ever."""


def serve(settings: Settings, listening: socket.socket, hosts: Collection[str]) -> None:
    """Serve Dagster's UI until Ctrl-C or SIGTERM, then stop all started processes.

    Args:
        settings: settings of the home folder; its `workspace.yaml` is loaded if there is one.
        listening: the listening socket of the UI.
        hosts: host names of the server, beside `localhost` and IP addresses.

    Raises:
        DaemonEndedError: the daemon ended by itself.
    """
    signal.signal(signal.SIGTERM, interrupt)
    os.environ["DAGSTER_HOME"] = str(prepare_dagster_home(settings))  # for code servers, daemon and the runs they start
    with ExitStack() as stack:
        instance = stack.enter_context(open_instance(settings, lambda _: get_instance_for_cli()))
        instance.optimize_for_webserver(DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW)
        code_servers = stack.enter_context(ProxyServerManager(instance, workspace_target(settings), "warning"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="duomi_dev_")))
        workspace = folder / "workspace.yaml"
        workspace.write_text(json.dumps({"load_from": code_servers.get_code_server_specs()}))  # JSON is YAML, too
        context = stack.enter_context(WorkspaceProcessContext(instance, WorkspaceFileTarget([str(workspace)])))
        server = ui_server(context, hosts, settings)
        daemon = stack.enter_context(_daemon(["--workspace", str(workspace)]))
        threading.Thread(target=_stop_with, args=(daemon, server), daemon=True).start()
        server.run(sockets=[listening])
        if daemon.poll() is not None:
            raise DaemonEndedError(f"Dagster's daemon ended by itself, with exit code {daemon.returncode}")


@contextmanager
def _daemon(arguments: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Dagster's daemon, stopped at the end."""
    process = subprocess.Popen([sys.executable, "-m", "dagster._daemon", "run", *arguments])  # noqa: S603 - ours alone
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_DAEMON_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _stop_with(process: "subprocess.Popen[bytes]", server: uvicorn.Server) -> None:
    process.wait()
    server.should_exit = True
