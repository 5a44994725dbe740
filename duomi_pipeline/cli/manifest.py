"""`duomi manifest`. The table and its files are in the package `manifest`."""

import click

from duomi_pipeline.cli.console import warn_of
from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.common.places import shown
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.looking import look
from duomi_pipeline.engine.session import manifest_place
from duomi_pipeline.manifest import check_readable, write_manifest
from duomi_pipeline.prompts import SourceError
from duomi_pipeline.settings import Settings

_UNTOLD = "manifest that Dagster does not know of"  # a fact, from the writing until Dagster was told


@click.command()
def manifest() -> None:
    """Write the results manifest: one row per prompt, whatever its state.

    results.parquet, .csv, .json and .db (SQLite) in DUOMI_MANIFEST_DIR; their paths are printed. Beside them
    left_out.json: rows and files without a usable prompt, and why. Nothing is sent. The columns: docs/manifest.md.

    \b
    Examples:
      duomi manifest
      DUOMI_MANIFEST_DIR=/tmp/today duomi manifest
      sqlite3 "$(duomi manifest | grep 'db$')" "SELECT path FROM generated_images"
    """
    settings = Settings.load()
    try:
        with Session(settings) as session:
            with announce_if_slow("Reading the prompts"):
                looked = look(session.ledger, settings)
            warn_of(looked.problems)
            with announce_if_slow("Writing the manifest"), session.writing_results():
                check_readable(session, looked.sources.unknown)
                plan = session.plan_registered()
                written = write_manifest(session, plan, looked.problems, manifest_place(settings))
            if written.is_new or session.ledger.fact(_UNTOLD):
                session.ledger.set_fact(_UNTOLD, "yes")
                # Imported here: Dagster takes longer to import than to see that nothing has changed.
                from duomi_pipeline.cli.dagster_events import tell_of_manifest  # noqa: PLC0415

                if tell_of_manifest(session, plan, len(looked.problems), written.paths):
                    session.ledger.set_fact(_UNTOLD, None)
    except SourceError as error:
        raise click.ClickException(f"The manifest was not changed: {error}") from error
    except OSError as error:
        raise click.ClickException(f"The manifest cannot be written: {error}") from error
    if looked.problems:
        click.echo(f"All that is left out: {shown(manifest_place(settings) / 'left_out.json')}", err=True)
    for path in written.paths.values():
        click.echo(shown(path))
