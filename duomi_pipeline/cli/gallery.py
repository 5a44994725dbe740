"""`duomi gallery`. The page and its data are in the package `gallery`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.common.places import is_remote, shown
from duomi_pipeline.common.text import counted
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.looking import look
from duomi_pipeline.engine.session import gallery_place
from duomi_pipeline.gallery import GalleryError, GalleryReport, write_gallery
from duomi_pipeline.settings import Settings

_PORT = 3030  # always the same, so that the browser finds the marks of an earlier start


@click.command()
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@click.option("--serve", "serves", is_flag=True, help="Serve it on this machine: live, with buttons; Ctrl-C ends it.")
@click.option("--port", type=click.IntRange(0, 65535), help="With --serve: default 3030; 0: any free port.")
def gallery(opens: bool, serves: bool, port: int | None) -> None:
    """Write the gallery: a page with all pictures that opens from disk, without network or server.

    Thumbnails are made once per picture: the next call makes only new ones. With --serve the page follows what happens,
    makes pictures again, keeps earlier ones and edits parameters, after saying what it costs. Whoever has the address
    that is printed can do so: it holds a secret of this start.

    \b
    Examples:
      duomi gallery --open
      duomi gallery --serve
    """
    if port is not None and not serves:
        raise click.UsageError("--port needs --serve")
    settings = Settings.load()
    report = _write(settings)
    # Imported here: Dagster takes seconds to import, and the gallery is there already.
    from duomi_pipeline.cli.dagster_events import tell_of_gallery  # noqa: PLC0415

    tell_of_gallery(settings, report)
    if serves:
        # Imported here: Dagster takes seconds to import.
        from duomi_pipeline.cli.gallery_serving import serve  # noqa: PLC0415

        serve(settings, report, _PORT if port is None else port, opens=opens)
        return
    click.echo(shown(report.index))
    if opens and is_remote(report.index):
        raise click.ClickException(
            "--open shows a gallery on disk; docs/object_storage.md says how one in a bucket is opened."
        )
    if opens:
        click.launch(report.index.as_uri())


@contextmanager
def _told() -> Iterator[Callable[[int, int], None]]:
    """What to call with the thumbnails done and their total: a bar shows them; slow work before and after is said.

    The bar begins with the first one, so that its time left does not count the reading of prompts as thumbnails.
    """
    with ExitStack() as step:
        step.enter_context(announce_if_slow("Reading prompts and pictures"))
        bars: list[Any] = []

        def advance(done: int, total: int) -> None:
            if not bars:
                step.close()
                bars.append(step.enter_context(click.progressbar(length=total, label="Thumbnails", file=sys.stderr)))
            bars[0].update(done - bars[0].pos)
            if done == total:
                step.close()
                step.enter_context(announce_if_slow("Writing the gallery"))

        yield advance


def _write(settings: Settings) -> GalleryReport:
    with Session(settings) as session, _told() as advance:
        try:
            with session.writing_results():
                look(session.ledger, settings)
                report = write_gallery(session, session.plan_registered(), gallery_place(settings), advance)
        except GalleryError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(f"The gallery cannot be written (DUOMI_GALLERY_DIR): {error}") from error
    click.echo(
        f"{counted(report.prompts, 'prompt')}, {counted(report.pictures, 'picture')}, "
        f"{counted(report.thumbnails_made, 'thumbnail')} made",
        err=True,
    )
    return report
