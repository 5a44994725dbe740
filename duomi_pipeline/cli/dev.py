"""`duomi dev`. The server itself is in `orchestration.webserver`."""

import click

from duomi_pipeline.cli.listening import listening, listening_options
from duomi_pipeline.orchestration.webserver.serve import DaemonEndedError, serve
from duomi_pipeline.settings import Settings


@click.command()
@listening_options
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
    with listening(host, port) as opened:
        try:
            serve(settings, opened, (host, *hosts))
        except DaemonEndedError as error:
            raise click.ClickException(str(error)) from error
