"""`duomi dev`. The server itself is in `orchestration.webserver`."""

import contextlib
import socket

import click

from duomi_pipeline.orchestration.webserver.serve import DaemonEndedError, serve
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
def dev(host: str, port: int, hosts: tuple[str, ...]) -> None:
    """Start Dagster's UI with all assets and its daemon, protected from requests of other web pages; Ctrl-C ends them.

    There is no login: everybody who can reach the address can spend your money.

    \b
    Examples:
      duomi dev                                    http://127.0.0.1:3000
      duomi dev --port 3001
      duomi dev --host 0.0.0.0 --allow-host studio.lan
    """
    settings = Settings.load()
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise click.UsageError(f"{host}:{port} cannot be listened on: {error.strerror}. Use another --port") from error
    with listening, contextlib.suppress(KeyboardInterrupt):
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"Dagster's UI on http://{shown}:{listening.getsockname()[1]}, Ctrl-C ends it", err=True)
        try:
            serve(settings, listening, (host, *hosts))
        except DaemonEndedError as error:
            raise click.ClickException(str(error)) from error
