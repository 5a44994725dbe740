"""`duomi gallery --serve`: the socket, and runs that Dagster shows. The server itself is in `gallery_server`."""

import contextlib
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import click

from duomi_pipeline.cli.dagster_runs import run_in_process
from duomi_pipeline.common.places import is_remote
from duomi_pipeline.engine import Outcome
from duomi_pipeline.gallery import GalleryReport
from duomi_pipeline.gallery_server.desk import Order
from duomi_pipeline.gallery_server.serving import serve_gallery
from duomi_pipeline.orchestration.assets.images_config import CHOSEN, ImagesConfig
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

    with listening, contextlib.ExitStack() as until_the_end, contextlib.suppress(KeyboardInterrupt):

        def tell(address: str) -> None:
            click.echo(address)
            click.echo("Who has this address can spend your money. Ctrl-C ends it.", err=True)
            if opens:
                click.launch(str(until_the_end.enter_context(_leading_to(address, Path(str(report.index)).parent))))

        serve_gallery(settings, listening, _run, tell)


@contextlib.contextmanager
def _leading_to(address: str, folder: Path) -> Iterator[Path]:
    """A page for the owner's eyes that leads to an address: arguments of a browser are seen by all on this machine."""
    with tempfile.NamedTemporaryFile("w", suffix=".html", prefix="served-", dir=folder, encoding="ascii") as page:
        page.write('<!doctype html><meta name="referrer" content="no-referrer">\n')
        page.write(f'<meta http-equiv="refresh" content="0; url={address}">\n')
        page.flush()
        yield Path(page.name)


def _run(order: Order, tell: Callable[[Outcome], None]) -> str:
    config = ImagesConfig(force=order.force, max_images=order.max_images, states=CHOSEN)
    report = run_in_process(order.settings, order.plan, order.wanted, config, order.left_out, tell)
    return report.receipt.as_text() if report.receipt else report.as_text()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
