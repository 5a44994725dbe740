"""`duomi ledger`: rebuild, copy, back up, restore. The work is in `maintenance.reconcile` and `ledger.copy`."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from duomi_pipeline.common.files import time_stamp
from duomi_pipeline.common.text import counted
from duomi_pipeline.engine import Session
from duomi_pipeline.ledger import Ledger
from duomi_pipeline.ledger.closing import COPYING, MOVED
from duomi_pipeline.ledger.copy import (
    NotEmptyError,
    contents_of,
    copy_file,
    copy_ledger,
    is_ledger,
    is_same_place,
    move_ledger,
    open_file,
    shown,
)
from duomi_pipeline.ledger.leases import HEARTBEAT, LEASE
from duomi_pipeline.maintenance.reconcile import repair, survey
from duomi_pipeline.settings import Settings


@click.group()
def ledger() -> None:
    """Commands on the ledger, the record of what was requested, paid and saved.

    \b
    Examples:
      duomi ledger rebuild    it is lost: the pictures tell what was paid
      duomi ledger backup
    """


@ledger.command(short_help="Restore a lost ledger from the PNG files.")
def rebuild() -> None:
    """Restore a lost ledger from the PNG files, which carry all that is needed.

    Adds only what the ledger does not know: on a complete ledger it changes nothing.

    \b
    Examples:
      duomi ledger rebuild
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


@ledger.command(short_help="Move the ledger to another place.")
@click.argument("url")
def copy(url: str) -> None:
    """Move the ledger: copy all records to URL; from then on no run starts on the old one.

    The new ledger must be empty. Nothing is written there unless everything is. No run may be at work; one that is, is
    named.

    \b
    Examples:
      duomi ledger copy postgresql://duomi@db.example.org/duomi  (see ~/.pgpass)
      duomi ledger copy sqlite:////srv/duomi/ledger.db
    """
    settings = Settings.load()
    if is_same_place(settings.ledger_url.get_secret_value(), url, settings.home):
        raise click.UsageError("That is the ledger in use: give another place.")
    with _opened(settings) as old, closing(Ledger(url, settings.home)) as new, _counted_rows() as told:
        _wait_for_the_dead(old)
        try:
            done = move_ledger(old, new, shown(url), told)
        except NotEmptyError as error:
            raise click.ClickException(f"{error} Nothing was copied. Give an empty database.") from error
    click.echo(f"Copied: {done}")
    click.echo(f"Next: set DUOMI_LEDGER_URL to {shown(url)} (with its password, if it has one) on every machine, then")
    click.echo("`duomi plan`. No run starts on the old ledger any more; keep it until you have seen the new one work.")


@ledger.command(short_help="Let runs start on a ledger that was copied elsewhere.")
def reopen() -> None:
    """Let runs start again on a ledger that was copied to another place.

    What was bought with the other ledger since is not known here: its pictures are recorded from the folder, but costs
    and lost answers are not. Never use both.

    \b
    Examples:
      duomi ledger reopen    asks whether the other one is out of use for good
    """
    with _opened(Settings.load()) as old:
        place = old.fact(MOVED) or old.fact(COPYING)
        if place is None:
            click.echo("This ledger is open: it was copied nowhere.")
            return
        click.confirm(f"Is the ledger at {place} out of use for good?", abort=True, err=True)
        old.set_fact(MOVED, None)
        old.set_fact(COPYING, None)
    click.echo("Runs start on this ledger again.")


@ledger.command(short_help="Copy the ledger into one SQLite file.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
def backup(file: Path | None) -> None:
    """Copy the ledger into one SQLite file, also from PostgreSQL; default: out/ledger_backups/ledger_TIME.db.

    No run may be at work.

    \b
    Examples:
      duomi ledger backup
      duomi ledger backup /mnt/backup/duomi.db
    """
    settings = Settings.load()
    file = (file or settings.path("out/ledger_backups") / f"ledger_{time_stamp(datetime.now(UTC))}.db").absolute()
    if file.exists():
        raise click.UsageError(f"{file} exists already; backups are not replaced.")
    unfinished = file.with_name(f".{file.name}.part")
    _remove(unfinished)
    try:
        with _opened(settings) as source, _file(unfinished) as target, _counted_rows() as told:
            _wait_for_the_dead(source)
            done = copy_ledger(source, target, told)
        unfinished.rename(file)
    finally:
        _remove(unfinished)
    click.echo(f"{file}: {done}")


@ledger.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Drop what the ledger has now; a backup of it is made first.")
def restore(file: Path, replace: bool) -> None:
    """Bring back a backup. Pictures that were bought since are recorded again from the folder by the next plan.

    \b
    Examples:
      duomi ledger restore out/ledger_backups/ledger_20260102_030405_006.db
      duomi ledger restore backup.db --replace
    """
    settings = Settings.load()
    if not is_ledger(file):
        raise click.UsageError(f"{file} is no backup of a ledger.")
    copied = file.with_name(f".{file.name}.restoring")  # an older backup is upgraded when opened: not the file itself
    _remove(copied)
    try:
        copy_file(file, copied)
        with _opened(settings) as target, _file(copied) as source:
            _wait_for_the_dead(target)
            if moved := target.fact(MOVED) or target.fact(COPYING):
                raise click.ClickException(
                    f"This ledger was copied to {moved}; restored, it would be open again. If that one is out of use "
                    "for good: `duomi ledger reopen`, then again."
                )
            has, brings = contents_of(target), contents_of(source)
            if replace:
                before = settings.path("out/ledger_backups") / f"before_restore_{time_stamp(datetime.now(UTC))}.db"
                with _file(before) as saved:
                    copy_ledger(target, saved)
                click.echo(f"Saved before: {before}", err=True)
            with _counted_rows() as told:
                done = copy_ledger(source, target, told, replace=replace, is_backup=True)
    except NotEmptyError as error:
        raise click.ClickException(
            f"The ledger has {has}, the backup {brings}. To go back to the backup: --replace. Requests since the "
            "backup that cost money and gave no picture are forgotten then."
        ) from error
    finally:
        _remove(copied)
    click.echo(f"Restored: {done}")


@contextmanager
def _opened(settings: Settings) -> Iterator[Ledger]:
    with closing(Ledger(settings.ledger_url.get_secret_value(), settings.home)) as opened:
        yield opened


@contextmanager
def _file(path: Path) -> Iterator[Ledger]:
    """The ledger in a file, which is whole as one file when the block ends."""
    with closing(open_file(path)) as opened:
        yield opened


def _wait_for_the_dead(opened: Ledger) -> None:
    """Give runs that were killed the time after which they count as dead; what follows names one that lives."""
    until = time.monotonic() + LEASE + HEARTBEAT
    active = opened.active_runs()
    if active and not any(map(opened.is_at_work, active)):
        click.echo(f"Run {active[0]} has no recorded end: waiting {LEASE:.0f} s for a sign of life …", err=True)
    while active and not any(map(opened.is_at_work, active)) and time.monotonic() < until:
        time.sleep(1)
        active = opened.active_runs()


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


@contextmanager
def _counted_rows() -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how many records were copied so far."""
    is_shown = sys.stderr.isatty()

    def told(rows: int) -> None:
        if is_shown:
            click.echo(f"\r{counted(rows, 'record')} …", nl=False, err=True)

    yield told
    if is_shown:
        click.echo(err=True)
