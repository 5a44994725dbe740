"""`duomi ledger`."""

import click

from duomi_pipeline.common.text import counted
from duomi_pipeline.engine import Session
from duomi_pipeline.maintenance.reconcile import repair, survey
from duomi_pipeline.settings import Settings


@click.group()
def ledger() -> None:
    """What was asked, paid and saved."""


@ledger.command()
def rebuild() -> None:
    """Restore a lost ledger from the PNG files, which carry everything.

    Only adds what the ledger does not know: running it twice, or on a healthy ledger, changes nothing.
    """
    settings = Settings.load()
    with Session(settings) as session:
        found = survey(session)
        recorded = repair(session, found)
        click.echo(f"{counted(recorded, 'picture')} recorded, {len(session.ledger.selections())} prompts have one")
        if found.gone:
            click.echo(f"{len(found.gone)} records of files that are gone were dropped")
        if found.foreign:
            click.echo(f"{len(found.foreign)} files are not ours or are damaged, and were left alone")
