"""`duomi webserver`. The server itself is in `orchestration.webserver`."""

import contextlib
import socket
from pathlib import Path

import click

from duomi_pipeline.orchestration.webserver.ui import serve_ui
from duomi_pipeline.settings import Settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Another host name, without port, under which browsers reach it; may be repeated.",
)
@click.option(
    "--workspace",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A workspace.yaml with the addresses of the code servers.",
)
@click.option("--read-only", is_flag=True, help="To look at: nothing can be started or changed.")
def webserver(host: str, port: int, hosts: tuple[str, ...], workspace: Path, read_only: bool) -> None:
    """Start Dagster's UI alone, protected from requests of other web pages; Ctrl-C ends it.

    For several machines: daemon and code servers run elsewhere. On one machine, `duomi dev` starts all of them.
    There is no login: everybody who can reach the address can spend your money, unless it is read-only.
    """
    settings = Settings.load()
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise click.UsageError(f"{host}:{port} cannot be listened on: {error.strerror}. Use another --port") from error
    with listening, contextlib.suppress(KeyboardInterrupt):
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"Dagster's UI on http://{shown}:{listening.getsockname()[1]}, Ctrl-C ends it", err=True)
        serve_ui(settings, listening, (host, *hosts), workspace, read_only=read_only)
