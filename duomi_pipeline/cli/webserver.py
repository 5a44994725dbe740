"""`duomi webserver`. The server itself is in `orchestration.webserver`."""

from pathlib import Path

import click

from duomi_pipeline.cli.listening import listening, listening_options
from duomi_pipeline.orchestration.webserver.ui import serve_ui
from duomi_pipeline.settings import Settings


@click.command()
@listening_options
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

    \b
    Examples:
      duomi webserver --workspace workspace.yaml
      duomi webserver --workspace workspace.yaml --read-only --port 3001
    """
    settings = Settings.load()
    with listening(host, port) as opened:
        serve_ui(settings, opened, (host, *hosts), workspace, read_only=read_only)
