"""`duomi metrics`. The metrics themselves are in `reporting.metrics`; these two modules need prometheus-client."""

import signal
from pathlib import Path
from threading import Event

import click

from duomi_pipeline.settings import Settings


@click.command()
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write them to this file, whole or not at all, for node_exporter's textfile collector: NAME.prom.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Serve them at /metrics until stopped. 0: any free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def metrics(file: Path | None, port: int | None, host: str) -> None:
    """Print the metrics for Prometheus, write them to a file, or serve them.

    \b
    Examples:
      duomi metrics
      duomi metrics --file /var/lib/prometheus/node-exporter/duomi.prom
      duomi metrics --port 9187
    """
    if file is not None and port is not None:
        raise click.UsageError("--file writes once, --port serves: use one of them.")
    try:
        from prometheus_client import generate_latest, start_http_server, write_to_textfile  # noqa: PLC0415

        from duomi_pipeline.reporting.metrics import registry  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}. Install the extra: pip install 'duomi-pipeline[metrics]'") from error
    found = registry(Settings.load())
    try:
        if file is not None:
            write_to_textfile(str(file), found)
        elif port is not None:
            server, _ = start_http_server(port, host, found)
            click.echo(f"Metrics at http://{host}:{server.server_port}/metrics")
            stopped = Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stopped.set())
            stopped.wait()
            server.shutdown()
        else:
            click.echo(generate_latest(found).decode(), nl=False)
    except OSError as error:
        raise click.ClickException(f"{file or f'{host}:{port}'}: {error.strerror}") from error
