"""`duomi status`. States are decided in `engine.states`, sums of money come from the ledger."""

from dataclasses import asdict, dataclass, replace
from typing import Self

import click

from duomi_pipeline.cli.console import (
    json_option,
    moment,
    money_lines,
    print_findings,
    print_json,
    print_states,
    problems_json,
    say,
    today,
    warn_of,
)
from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.cli.spending import print_spending
from duomi_pipeline.common.text import counted, one_line, sentence
from duomi_pipeline.engine import Session, State, StoppedBy
from duomi_pipeline.engine.looking import look
from duomi_pipeline.ledger import Ledger, Look, RunRecord
from duomi_pipeline.settings import Settings

_MAX_NAMED = 20
_DAYS = 30
_NO_END = "Its process ended before it could record how. Start again to go on; nothing that was paid is bought twice."
_TRIGGERS = {
    "cli": "the command line",
    "ui": "Dagster's UI",
    "sensor": "a sensor",
    "schedule": "a schedule",
    "python": "a Python script",
    "rebuild": "a look at pictures that were not on record",
}
_STOPPED = {
    StoppedBy.SERVICE: "stopped by the service",
    StoppedBy.CAP: "stopped by a cap",
    StoppedBy.INTERRUPTED: "interrupted",
    StoppedBy.STORE: "stopped because nothing could be saved",
    StoppedBy.LOST: "stopped because pictures or ledger look lost",
    StoppedBy.ERROR: "stopped by an unforeseen error",
}


@dataclass(frozen=True)
class _Waiting:
    """Purchases that are paid and not yet saved, of one service and one of its keys.

    Attributes:
        service, key: the service's address and a fingerprint of the key; empty if not recorded.
    """

    service: str
    key: str
    purchases: int
    is_here: bool

    @classmethod
    def of(cls, service: str | None, count: int, settings: Settings) -> Self:
        address, _, key = (service or "").partition(" ")
        return cls(address, key, count, service in (None, settings.service_identity))

    def told(self, *, at_work: bool) -> str:
        """The line about them; `at_work`: whether a run is, which may be about to fetch them."""
        key = f" (key {self.key})" if self.key else ""
        what = f"{counted(self.purchases, 'purchase')} wait{'s' if self.purchases == 1 else ''}"
        where = f"{what} at {self.service or 'the service'}{key}"
        if self.is_here:
            who = "the run at work, or the next one," if at_work else "the next run"
            return f"{where}: {who} fetches the pictures."
        return f"{where}: to get the pictures, set DUOMI_BASE_URL and DUOMI_API_KEY to these again."


@click.command()
@click.option("--spend", is_flag=True, help="Money by day, model and source instead.")
@click.option("--days", type=click.IntRange(min=1, max=36_500), help="With --spend: so many days of UTC; default 30.")
@json_option
def status(spend: bool, days: int | None, as_json: bool) -> None:
    """Print prompts per state, money spent, the last run, and failed prompts.

    \b
    Examples:
      duomi status
      duomi status --spend --days 7
    """
    settings = Settings.load()
    if spend:
        print_spending(settings, days or _DAYS, as_json=as_json)
        return
    if days is not None:
        raise click.UsageError("--days needs --spend.")
    with announce_if_slow("Reading the prompts"), Session(settings) as session:
        problems = look(session.ledger, settings).problems
        looks = session.ledger.register.last_looks()
        found = session.plan_registered()
        waiting = [_Waiting.of(service, count, settings) for service, count in session.waiting().items()]
        at_work = bool(session.ledger.active_runs())
        total, day, last = session.ledger.money(), session.ledger.money(today()), _last_run(session.ledger)
    print_findings(found, settings.image_dir)
    failed = [e for e in found.entries if e.state in (State.FAILED_FOR_GOOD, State.FAILED_FOR_NOW)]
    if as_json:
        print_json(
            {
                "states": {state.value: count for state, count in found.counts.items()},
                "service": settings.host_kind,
                "spend": {"total": vars(total), "today": vars(day), "currency": settings.currency},
                "waiting": [asdict(one) for one in waiting],
                "last_run": {**vars(last), "door": last.trigger} if last else None,
                "failed": [
                    {
                        "prompt_id": e.prompt.id,
                        "state": e.state.value,
                        "error": e.purchase and e.purchase.error_message,
                    }
                    for e in failed
                ],
                "stop": found.stop.message if found.stop else None,
                "looks": {source.value: _look_json(last_look) for source, last_look in looks.items()},
                "left_out": problems_json(problems),
            }
        )
        return
    warn_of(problems)
    print_states(found.counts, State)
    for last_look in looks.values():
        say(_look_line(last_look))
    for line in money_lines(total, settings.currency):
        click.echo(f"In all: {line}")
    click.echo(f"Today:  {money_lines(day, settings.currency)[0]}")
    if last:
        say(_run_line(last))
    for one in waiting:
        say(one.told(at_work=at_work))
    for entry in failed[:_MAX_NAMED]:
        say(f"{entry.state.value}: {entry.prompt.id}: {entry.purchase and entry.purchase.error_message}")
    if len(failed) > _MAX_NAMED:
        click.echo(f"… and {len(failed) - _MAX_NAMED:,} more: duomi status --json")


def _last_run(ledger: Ledger) -> RunRecord | None:
    """The run that started last; one whose process ended without recording it counts as interrupted."""
    last = ledger.last_run()
    if last and last.ended_at is None and last.id not in ledger.active_runs():
        return replace(last, stopped_by=StoppedBy.INTERRUPTED.value, message=_NO_END)
    return last


def _run_line(last: RunRecord) -> str:
    counts = ", ".join(f"{count:,} {name}" for name, count in last.counts.items() if count)
    return sentence(
        f"Last run: {moment(last.started_at)}, started from {_TRIGGERS.get(last.trigger, last.trigger)}, "
        f"{_how(last)}{f': {counts}' if counts else ''}"
    )


def _how(last: RunRecord) -> str:
    """How a run ended, as part of a sentence."""
    if last.stopped_by:
        why = "" if last.stopped_by == StoppedBy.INTERRUPTED else f" ({one_line(last.message or last.stopped_by)})"
        return f"{_STOPPED[StoppedBy(last.stopped_by)]}{why}"
    return "still at work" if last.ended_at is None else "completed"


def _look_line(last: Look) -> str:
    what = last.problem or f"{counted(last.prompts, 'prompt')}, {last.left_out:,} left out"
    return f"Source {last.source}: looked at {moment(last.looked_at)} by {last.host}: {what} ({last.place})"


def _look_json(last: Look) -> dict[str, object]:
    return {name: value for name, value in asdict(last).items() if name not in ("problems", "changes", "stamp")}
