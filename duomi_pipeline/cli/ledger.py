"""`duomi ledger`. Comparing folder and ledger is in `maintenance.reconcile`."""

import click

from duomi_pipeline.common.text import counted
from duomi_pipeline.engine import Session
from duomi_pipeline.maintenance.reconcile import repair, survey
from duomi_pipeline.settings import Settings


@click.group()
def ledger() -> None:
    """Commands on the ledger, the record of what was requested, paid and saved."""


@ledger.command()
def rebuild() -> None:
    """Restore a lost ledger from the PNG files, which carry all that is needed.

    Adds only what the ledger does not know: on a complete ledger it changes nothing.
    """
    settings = Settings.load()
    with Session(settings) as session:
        found = survey(session)
        done = repair(session, found)
        having = counted(len(session.ledger.selections()), "prompt")
        click.echo(f"{counted(done.recorded, 'picture')} recorded, {having} with a picture")
        if done.lost:
            raise click.ClickException(f"{done.lost} Mount or restore the folder; no record was dropped.")
        if done.forgotten:
            click.echo(f"{counted(done.forgotten, 'record')} dropped: the files are gone")
        if found.foreign:
            click.echo(f"{counted(len(found.foreign), 'file')} not ours or damaged, left alone")
