"""`duomi doctor`: checks of everything a run needs, each a line with `ok` or `BAD` and what to do."""

import importlib.metadata
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path

import click

from duomi_pipeline.cli.console import say, warn_of
from duomi_pipeline.common.places import publish, remove, shown
from duomi_pipeline.common.text import counted, safe
from duomi_pipeline.duomi import DuomiError
from duomi_pipeline.duomi.broken_calls import without_secrets
from duomi_pipeline.duomi.masking import Mask
from duomi_pipeline.duomi.profiles import known_profiles, profile_of
from duomi_pipeline.duomi.protocols import ROUTES
from duomi_pipeline.duomi.transport import certificates_in_force, proxies_in_force
from duomi_pipeline.engine import Session, State
from duomi_pipeline.engine.generating import open_client
from duomi_pipeline.engine.kept_answers import KeptAnswers
from duomi_pipeline.engine.looking import look
from duomi_pipeline.engine.session import open_store, output_place
from duomi_pipeline.ledger import LedgerError, PurchaseState
from duomi_pipeline.maintenance.reconcile import repair, survey
from duomi_pipeline.orchestration.instance import dagster_home
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.prompts.sources import shown_database
from duomi_pipeline.settings import SECRET_FIELDS, Settings

Finding = tuple[bool, str]
_OTHERS_READ = 0o004
_MAX_KEPT = 20
_REPAIR = "`duomi doctor --repair` records unknown pictures and forgets files that are gone"


@click.command()
@click.option("--settings", "show_settings", is_flag=True, help="Also print every setting; secrets are masked.")
@click.option(
    "--repair", "--mend", "repairs", is_flag=True, help="First record unknown pictures and forget files that are gone."
)
def doctor(show_settings: bool, repairs: bool) -> None:
    """Check settings, key, folders, database and Dagster, and print what to fix. Sends nothing that costs money.

    The exit code is 1 where something is to be fixed, else 0.

    \b
    Examples:
      duomi doctor
      duomi doctor --settings
      duomi doctor --repair
    """
    settings = Settings.load()
    if repairs:
        with Session(settings) as session:
            if lost := repair(session, survey(session)).lost:
                click.echo(f"Not repaired: {lost} Mount or restore the folder first.", err=True)
    if show_settings:
        for name in Settings.model_fields:
            value = getattr(settings, name)
            click.echo(f"DUOMI_{name.upper()}={'(set, hidden)' if name in SECRET_FIELDS and value else value}")
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        _model,
        _service,
        _sources,
        _folders,
        _ledger,
        _kept,
        _dagster,
    ]
    healthy = True
    for check in checks:
        for good, text in check(settings):
            healthy = healthy and good
            say(f"{'ok ' if good else 'BAD'}  {safe(text)}", indent=5)
    if not healthy:
        sys.exit(1)


def _model(settings: Settings) -> Iterator[Finding]:
    known = known_profiles(settings)
    if settings.model in known:
        yield True, f"model {settings.model}: known model"
        return
    protocol = profile_of(settings, settings.model).protocol
    fields = ", ".join(sorted(ROUTES[protocol].fields)) or "none"
    price = "" if settings.price is not None else " Its price is unknown: set DUOMI_PRICE_PER_IMAGE for costs and caps."
    near = "".join(f" The nearest model with one: {name}." for name in get_close_matches(settings.model, known, n=1))
    yield (
        True,
        f"model {settings.model} has no profile: it is asked by {protocol} for {settings.image_size} as it stands, "
        f"with all optional fields of the protocol ({fields}); where it does not take these, it refuses or ignores "
        f"them.{price}{near} `duomi models --probe` asks whether it is served; profiles: docs/models.md",
    )


def _service(settings: Settings) -> Iterator[Finding]:
    if settings.uses_sandbox:
        yield True, "no DUOMI_API_KEY: the built-in sandbox is used, pictures cost nothing"
        return
    yield from _environment(settings)
    try:
        with open_client(settings) as client:
            client.check_key()
        yield True, f"{settings.shown_service} accepts the key"
    except DuomiError as error:
        yield False, f"{settings.shown_service}: {error}"


def _environment(settings: Settings) -> Iterator[Finding]:
    """What of the environment stands between this machine and the service."""
    masked = Mask(settings.api_key.get_secret_value() if settings.api_key else "")
    for name, value in proxies_in_force(settings.service_url).items():
        yield True, masked(f"{settings.shown_service} is asked through {name}={without_secrets(value)}")
    for name, value in list(certificates_in_force().items())[:1]:
        good = Path(value).exists()
        yield good, f"certificates: {name}={value}{'' if good else ', which does not exist: fix or unset it'}"


def _kept(settings: Settings) -> Iterator[Finding]:
    """Paid answers that gave no picture."""
    answers = KeptAnswers(settings.home)
    kept = answers.all()
    if problem := answers.problem():
        yield False, problem
    for one in kept[:_MAX_KEPT]:
        yield True, f"kept, of {one.prompt_id}: {answers.path(one)} ({one.bytes} bytes): {one.reason}"
    if len(kept) > _MAX_KEPT:
        yield True, f"… and {len(kept) - _MAX_KEPT:,} more in {answers.folder}"


def _sources(settings: Settings) -> Iterator[Finding]:
    sources = read_sources(settings)
    yield True, f"{counted(len(sources.table.prompts), 'prompt')} in the table, {len(sources.files.prompts):,} in files"
    if "db_" in sources.absent:
        yield True, f"no database at {shown_database(settings)}: JSON files are enough"
    for reason in sources.unreadable.values():
        yield False, reason
    warn_of([*sources.table.problems, *sources.files.problems])


def _folders(settings: Settings) -> Iterator[Finding]:
    for setting in ("manifest_dir", "gallery_dir"):
        folder = output_place(settings, setting)
        trial = folder / f".trial-{secrets.token_hex(4)}.tmp"
        try:
            publish(trial, b"")
            remove(trial)
            yield True, f"{shown(folder)} can be written"
        except OSError as error:
            yield False, f"{shown(folder)} cannot be written (DUOMI_{setting.upper()}): {error.strerror or error}"
    store = open_store(settings)
    problem = store.problem()
    yield not problem, problem or f"{shown(store.base)} can be written"


def _ledger(settings: Settings) -> Iterator[Finding]:
    try:
        with Session(settings) as session:
            plan = session.plan(look(session.ledger, settings).completed(session.ledger).prompts)
            found = survey(session)
            asked = {entry.request.key for entry in plan.entries}
            begun = {
                key
                for key, purchase in session.ledger.interrupted_purchases().items()
                if purchase.state != PurchaseState.PLANNED
            }
            unasked = begun - asked
    except LedgerError as error:
        yield False, str(error)
        return
    states = ", ".join(f"{count:,} {state.value}" for state, count in plan.counts.items() if count)
    yield True, f"ledger: {counted(len(plan.entries), 'prompt')}{f': {states}' if states else ''}"
    if plan.adopted:
        yield True, f"{counted(plan.adopted, 'picture')} in the folder, unknown to the ledger before, recorded now"
    if plan.stop:
        yield False, f"{plan.stop.message} {plan.stop.advice}"
        return
    if unknown := plan.counts[State.UNKNOWN]:
        first = next(entry for entry in plan.entries if entry.state is State.UNKNOWN)
        yield False, f"{counted(unknown, 'prompt')} with a picture that cannot be read now, such as {first.prompt.id}"
    if unasked:
        why = "prompts or settings have changed since; change them back to get the pictures"
        yield (
            False,
            f"{counted(len(unasked), 'interrupted purchase')} without a prompt that has the same request now: {why}",
        )
    if found.unrecorded:
        yield (
            False,
            f"{counted(len(found.unrecorded), 'picture')} not on record, such as {found.unrecorded[0][0]}: {_REPAIR}",
        )
    if found.gone:
        yield False, f"{counted(len(found.gone), 'file')} on record gone, such as {found.gone[0].file}: {_REPAIR}"
    if found.foreign:
        others = counted(len(found.foreign), "file")
        yield True, f"{others} in the folder not ours or damaged, such as {found.foreign[0]}"


def _dagster(settings: Settings) -> Iterator[Finding]:
    home = dagster_home(settings)
    yield True, f"Dagster {importlib.metadata.version('dagster')}, its home is {home}"
    if os.environ.get("DAGSTER_HOME") and not Path(os.environ["DAGSTER_HOME"]).is_absolute():
        yield False, "DAGSTER_HOME must be an absolute path"
    env = settings.home / ".env"
    if env.exists():
        yield True, ".env is read; under `dagster dev` it overrides exported variables"
        if env.stat().st_mode & _OTHERS_READ:
            yield True, f"everybody on this machine can read {env}: chmod 600 {env}"
