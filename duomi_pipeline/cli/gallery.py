"""`duomi gallery`. The page and its data are in the package `gallery`."""

import sys

import click

from duomi_pipeline.common.text import counted
from duomi_pipeline.engine import Session
from duomi_pipeline.gallery import GalleryError, write_gallery
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.settings import Settings


@click.command()
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
def gallery(opens: bool) -> None:
    """Write the gallery: a page with all pictures that opens from disk, without network or server.

    Thumbnails are made once per picture: the next call makes only new ones.
    """
    settings = Settings.load()
    with Session(settings) as session, click.progressbar(length=0, label="Thumbnails", file=sys.stderr) as bar:

        def advance(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        try:
            with session.writing_results():
                plan = session.plan(read_sources(settings).prompts)
                report = write_gallery(session, plan, settings.path(settings.gallery_dir), advance)
        except GalleryError as error:
            raise click.ClickException(str(error)) from error
    click.echo(
        f"{counted(report.prompts, 'prompt')}, {counted(report.pictures, 'picture')}, "
        f"{counted(report.thumbnails_made, 'thumbnail')} made",
        err=True,
    )
    click.echo(report.index)
    if opens:
        click.launch(report.index.as_uri())
