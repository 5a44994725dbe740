"""`duomi gallery --serve`: the socket, and runs that Dagster shows. The server itself is in `gallery_server`."""

import contextlib
import signal
import socket
from collections.abc import Callable
from types import FrameType

import click

from duomi_pipeline.cli.dagster_runs import run_in_process
from duomi_pipeline.common.places import is_remote
from duomi_pipeline.engine import Outcome
from duomi_pipeline.gallery import GalleryReport
from duomi_pipeline.gallery_server.desk import Order
from duomi_pipeline.gallery_server.serving import serve_gallery
from duomi_pipeline.orchestration.assets.images_config import ImagesConfig
from duomi_pipeline.settings import Settings


def serve(settings: Settings, report: GalleryReport, port: int, *, opens: bool) -> None:
    """Serve a gallery that was written until Ctrl-C or SIGTERM; the address goes to stdout.

    Raises:
        click.ClickException: it is not on disk, or the port cannot be had.
    """
    if is_remote(report.index):
        raise click.ClickException("--serve shows a gallery on disk: set DUOMI_GALLERY_DIR to a folder.")
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise click.UsageError(f"Port {port} cannot be listened on: {error.strerror}. Use another --port") from error
    signal.signal(signal.SIGTERM, _interrupt)

    def tell(address: str) -> None:
        click.echo(address)
        click.echo("Who has this address can spend your money. Ctrl-C ends it.", err=True)
        if opens:
            click.launch(address)

    with listening, contextlib.suppress(KeyboardInterrupt):
        serve_gallery(settings, listening, _run, tell)


def _run(order: Order, tell: Callable[[Outcome], None]) -> str:
    config = ImagesConfig(force=order.force, max_images=order.max_images)
    report = run_in_process(order.settings, order.plan, order.wanted, config, order.left_out, tell)
    return report.receipt.as_text() if report.receipt else report.as_text()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
