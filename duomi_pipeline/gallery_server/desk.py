"""Actions of the page: asked for, confirmed, and carried out one at a time by the thread that calls `work`."""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from duomi_pipeline.common.text import counted, one_line
from duomi_pipeline.engine import Outcome, PlannedPrompt, Session
from duomi_pipeline.engine.looking import Manner, look, registered
from duomi_pipeline.engine.plan import Plan
from duomi_pipeline.gallery_server.actions import Action, Kind, RefusedError, Terms, prepare
from duomi_pipeline.gallery_server.interrupts import Interrupts
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.maintenance.choices import ChoiceError
from duomi_pipeline.prompts import SourceError
from duomi_pipeline.reporting.receipt import amount
from duomi_pipeline.reporting.run_log import rows_and_files_left_out
from duomi_pipeline.settings import Settings, SettingsError

_ASKED = 50  # actions that wait to be confirmed; older ones are forgotten
_SHOWN = 20  # failures that the page lists
_LOGGER = logging.getLogger(__name__)
_NAMES: Mapping[Kind, str] = {
    Kind.AGAIN: "Make again with another seed",
    Kind.RETRY: "Try failed prompts again",
    Kind.KEEP: "Keep earlier pictures",
    Kind.PARAMETERS: "Change parameters",
}
USABLE = (RefusedError, ChoiceError, SourceError, SettingsError, LedgerError)  # what a person can do something about


class BusyError(Exception):
    """Another action is at work."""


class UnknownTicketError(Exception):
    """Nobody asked for this, or it was confirmed before."""


@dataclass(frozen=True)
class Order:
    """What a run is to do; the same as a `duomi generate` of these prompts."""

    settings: Settings
    plan: Plan
    wanted: list[PlannedPrompt]
    left_out: int
    force: bool
    max_images: int


Run = Callable[[Order, Callable[[Outcome], None]], str]  # tells each outcome, and gives the receipt in words


@dataclass(frozen=True)
class Quote:
    """An action before it is confirmed.

    Attributes:
        ticket: confirms it, once.
        cost: in words; empty where nothing is sent, or it costs nothing.
    """

    ticket: str
    name: str
    prompts: int
    requests: int
    service: str
    cost: str
    notes: Sequence[str]


@dataclass(frozen=True)
class Progress:
    """The action at work, or the last one.

    Attributes:
        number: 1 for the first action of this server.
        failures: what failed, the first of it.
        message: how it ended; empty while it is at work.
    """

    number: int
    name: str
    ids: Sequence[str]
    total: int = 0
    done: int = 0
    failed: int = 0
    failures: tuple[str, ...] = ()
    message: str = ""
    is_over: bool = False

    def with_outcome(self, outcome: Outcome) -> "Progress":
        """The same after one more prompt."""
        if outcome.failure is None:
            return replace(self, done=self.done + 1)
        words = one_line(f"{outcome.prompt.id}: {outcome.failure}", 400)
        failures = (*self.failures, words)[:_SHOWN]
        return replace(self, done=self.done + 1, failed=self.failed + 1, failures=failures)


class Desk:
    """Takes actions, and carries them out.

    Args:
        home: whose settings hold; they are read anew for each action.
        run: makes pictures, as a run that Dagster shows.
    """

    def __init__(self, home: Path, run: Run) -> None:
        self._home = home
        self._run = run
        self._asked: dict[str, tuple[Action, Terms]] = {}
        self._confirmed: tuple[Action, Terms] | None = None
        self._changed = threading.Condition()
        self.progress: Progress | None = None

    def ask(self, action: Action) -> Quote:
        """What an action would send and cost. Nothing is recorded.

        Raises:
            RefusedError, ChoiceError, SourceError, SettingsError, LedgerError: it cannot be done; says why.
        """
        settings = Settings.load(self._home)
        with Session(settings) as session:
            prepared = prepare(session, registered(session.ledger, action.pictures).prompts, action)
        if prepared.plan.stop:
            raise RefusedError(f"{prepared.plan.stop.message} {prepared.plan.stop.advice}".strip())
        ticket, terms = secrets.token_urlsafe(16), prepared.terms(settings)
        with self._changed:
            self._asked[ticket] = (action, terms)
            for old in list(self._asked)[:-_ASKED]:
                del self._asked[old]
        is_free = settings.uses_sandbox or not terms.requests
        return Quote(
            ticket,
            _NAMES[action.kind],
            terms.prompts,
            terms.requests,
            settings.shown_service,
            "" if is_free else amount(terms.cost, terms.currency),
            prepared.notes,
        )

    def confirm(self, ticket: str) -> int:
        """Have an action carried out that was asked for; each is only once. Returns its number.

        Raises:
            UnknownTicketError: it was not asked for here, or is confirmed already.
            BusyError: another one is at work; it can be confirmed later.
        """
        with self._changed:
            if ticket not in self._asked:
                raise UnknownTicketError("This was confirmed before, or the server was started anew. Ask again.")
            if self._confirmed is not None or (self.progress and not self.progress.is_over):
                raise BusyError("Another action is at work. Wait for its end.")
            self._confirmed = self._asked.pop(ticket)
            action = self._confirmed[0]
            number = self.progress.number + 1 if self.progress else 1
            self.progress = Progress(number, _NAMES[action.kind], list(action.pictures))
            self._changed.notify_all()
            return number

    def work(self) -> None:
        """Carry out actions until Ctrl-C. In the main thread: there signals end a run as they end that of a command.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed while nothing was at work.
        """
        with Interrupts() as interrupts:
            while not interrupts.have_come():
                with self._changed:
                    while self._confirmed is None:
                        self._changed.wait(1.0)  # with a time-out: Windows delivers Ctrl-C to no wait without one
                    action, terms = self._confirmed
                try:
                    message = self._carry_out(action, terms)
                except USABLE as error:
                    message = str(error)
                except Exception as error:
                    _LOGGER.exception("%s", self.progress and self.progress.name)
                    message = f"An unforeseen error: {one_line(str(error) or repr(error), 400)}"
                with self._changed:
                    self._confirmed = None
                    self._tell(message=message, is_over=True)

    def _carry_out(self, action: Action, confirmed: Terms) -> str:
        settings = Settings.load(self._home)
        with Session(settings) as session:
            look(session.ledger, settings, Manner.ATTENDED)
            # Not what was prepared when it was asked for: under other settings that is another request.
            now = prepare(session, registered(session.ledger, action.pictures).prompts, action)
            if not confirmed.allow(now.terms(settings)):
                raise RefusedError(
                    "Something has changed since you were asked: it would be "
                    f"{counted(len(now.requests), 'request')} now. Nothing was sent. Ask again."
                )
            now.record(session)
            look(session.ledger, settings, Manner.ATTENDED)
            sources = registered(session.ledger, [entry.prompt.id for entry in now.wanted])
            plan = session.plan(sources.prompts)
        self._tell(total=len(plan.entries))
        if not plan.entries:
            return "Nothing to do."
        left_out = rows_and_files_left_out(sources)
        order = Order(settings, plan, list(plan.entries), left_out, now.forced, confirmed.pictures)
        return self._run(order, self._record)

    def _record(self, outcome: Outcome) -> None:
        if self.progress is not None:
            self.progress = self.progress.with_outcome(outcome)

    def _tell(self, **changes: object) -> None:
        if self.progress is not None:
            self.progress = replace(self.progress, **changes)  # type: ignore[arg-type]
