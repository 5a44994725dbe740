"""`duomi manifest`."""

import click

from duomi_pipeline.engine import Session
from duomi_pipeline.manifest import manifest as build_manifest
from duomi_pipeline.manifest import write_manifest
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.settings import Settings


@click.command()
def manifest() -> None:
    """Write the results manifest: one row per prompt, as Parquet, CSV and JSON."""
    settings = Settings.load()
    with Session(settings) as session:
        table = build_manifest(session, session.plan(read_sources(settings).prompts))
    for path in write_manifest(table, settings.path(settings.manifest_dir)).values():
        click.echo(path)
