"""Serve Dagster's UI alone, behind the guard: code servers and daemon run elsewhere. `serve` starts them, too.

`dagster-webserver` accepts no middleware. This module uses the same internal parts of Dagster; tests start them,
because they are not a public API.
"""

import os
import signal
import socket
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import uvicorn
from dagster._cli.utils import get_instance_for_cli
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_MAX_OVERFLOW, DEFAULT_POOL_RECYCLE

from duomi_pipeline.orchestration.instance import open_instance, prepare_dagster_home
from duomi_pipeline.orchestration.webserver.guard import RequestGuard
from duomi_pipeline.orchestration.webserver.site import WithSite
from duomi_pipeline.settings import Settings

_POLL_MILLISECONDS = 2000  # how often the UI asks for live data: `dagster dev`'s own default
_GRACE_SECONDS = 5  # for open pages; otherwise the server would wait for their websockets


def serve_ui(
    settings: Settings, listening: socket.socket, hosts: Collection[str], workspace: Path, *, read_only: bool
) -> None:
    """Serve Dagster's UI until Ctrl-C or SIGTERM.

    Args:
        settings: settings of the home folder.
        listening: the listening socket of the UI.
        hosts: host names of the server, beside `localhost` and IP addresses.
        workspace: a `workspace.yaml` with the addresses of the code servers.
        read_only: nothing can be started or changed.
    """
    signal.signal(signal.SIGTERM, interrupt)
    os.environ["DAGSTER_HOME"] = str(prepare_dagster_home(settings))
    with ExitStack() as stack:
        instance = stack.enter_context(open_instance(settings, lambda _: get_instance_for_cli()))
        instance.optimize_for_webserver(DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW)
        target = WorkspaceFileTarget([str(workspace)])
        context = stack.enter_context(WorkspaceProcessContext(instance, target, read_only=read_only))
        ui_server(context, hosts, settings).run(sockets=[listening])


def ui_server(context: WorkspaceProcessContext, hosts: Collection[str], settings: Settings) -> uvicorn.Server:
    """The guarded server of the UI, with gallery and pictures beside it; not yet running."""
    app = create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MILLISECONDS)
    guarded = RequestGuard(WithSite(app, settings), hosts)
    return uvicorn.Server(
        uvicorn.Config(guarded, log_level="warning", lifespan="off", timeout_graceful_shutdown=_GRACE_SECONDS)
    )


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Handler of SIGTERM that ends a server as Ctrl-C does; uvicorn raises the signal again, once it has stopped."""
    raise KeyboardInterrupt
