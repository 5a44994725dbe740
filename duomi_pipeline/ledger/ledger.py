"""The ledger's writes: each step of a purchase is recorded here before it happens. Read queries are in `queries`.

planned ── submitting ─┬─ submitted (task id) ─┬─ ready (image URLs) ── saved
   └──────<── free ────┤                       └─ refused | failed
                       └─ ambiguous (the answer was lost: it may have been billed)
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from duomi_pipeline.ledger import queries, repair, statements
from duomi_pipeline.ledger.closing import check_open
from duomi_pipeline.ledger.database import Database, LedgerError
from duomi_pipeline.ledger.file_locks import FileLocks
from duomi_pipeline.ledger.leases import Life, Lives
from duomi_pipeline.ledger.limits import (
    Limits,
    check_caps,
    check_in_flight,
    check_rate,
    check_repeats,
    lost_answers,
)
from duomi_pipeline.ledger.postgresql import LATER
from duomi_pipeline.ledger.queries import LedgerReader
from duomi_pipeline.ledger.records import (
    Billing,
    Origin,
    PaidAnswer,
    PictureFile,
    Purchase,
    PurchaseState,
    Selection,
    record_values,
)
from duomi_pipeline.ledger.register import Register
from duomi_pipeline.ledger.repair import Findings, record_findings
from duomi_pipeline.ledger.results import Results
from duomi_pipeline.ledger.schema import OPEN_STATES, facts, posts, purchases, runs
from duomi_pipeline.ledger.session_locks import SessionLocks
from duomi_pipeline.ledger.settled import settle
from duomi_pipeline.ledger.shown import Shown
from duomi_pipeline.ledger.spend import Spend

_ONE_OPEN = "purchases_one_open_per_key"
_TAKEN_OVER = "Another run has taken over this request, because this run counted as dead."


class Held(Exception):  # noqa: N818 - a signal, not a failure
    """Another active run works on this request."""


class Ledger(LedgerReader):
    """The ledger as one run uses it.

    Args:
        url: SQLAlchemy URL; a relative SQLite path is relative to `home`.
        clock: measures how long other runs write no heartbeat, in seconds from any point in time.

    Attributes:
        register: what the sources last said of each prompt.
        results: what manifest and gallery need of all prompts at once.
        shown: what the gallery alone needs of them.
        spend: what was spent, and how fast pictures came.
    """

    def __init__(self, url: str | URL, home: Path, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(Database(url, home))
        self.register = Register(self.database)
        self.results = Results(self.database)
        self.shown = Shown(self.database)
        self.spend = Spend(self.database)
        is_postgresql = self.database.engine.dialect.name == "postgresql"
        self._lives: Lives = (
            SessionLocks(self.database.engine) if is_postgresql else FileLocks(self.database.file, clock)
        )

    def close(self) -> None:
        """Close the database. Runs started here count as dead from now on, unless another session continues them."""
        self._lives.release()
        self.database.close()

    def check_not_lost(self) -> None:
        """Check that the ledger is still the one that was opened.

        Raises:
            LedgerLostError: it was deleted, moved or replaced.
        """
        self.database.check()

    def start_run(self, run_id: str, trigger: str) -> None:
        """Record that a run is alive, and what started it.

        Raises:
            ClosedError: the ledger was copied to another place.
            LedgerError: the run is active in another process.
        """
        with self.database.write(f"run {run_id}") as connection:
            check_open(connection)
            self._lives.begin(connection, run_id, trigger)

    def renew_run(self, run_id: str) -> None:
        """Write a heartbeat; to be called at least every `leases.HEARTBEAT` seconds."""
        with self.database.write(f"run {run_id}") as connection:
            self._lives.renew(connection, run_id)

    def end_run(self, run_id: str, stopped_by: str | None, message: str | None, counts: dict[str, int]) -> None:
        """Record how a run ended; its open purchases are free for other runs."""
        with self.database.write(f"run {run_id}") as connection:
            row = connection.execute(select(runs.c.counts).where(runs.c.id == run_id)).scalar()
            total = {**json.loads(row or "{}")}
            for name, count in counts.items():
                total[name] = total.get(name, 0) + count
            connection.execute(
                update(runs)
                .where(runs.c.id == run_id)
                .values(ended_at=time.time(), stopped_by=stopped_by, message=message, counts=json.dumps(total))
            )

    def is_gone(self, run_id: str) -> bool:
        """Whether a run's process is known to be dead, whether or not its end is recorded."""
        with self.database.read() as connection:
            return self._lives.is_gone(connection, run_id)

    def life(self, run_id: str) -> Life:
        """What is known of a run's process."""
        with self.database.read() as connection:
            return self._lives.life(connection, run_id)

    def alone(self, name: str) -> AbstractContextManager[None]:
        """A block in which no other process is at the same time, on any machine that shares the ledger."""
        return self._lives.alone(name)

    def claim(
        self,
        request_key: str,
        request: str,
        run_id: str,
        replaces: int | None = None,
        *,
        explicit: bool = False,
    ) -> Purchase:
        """Claim a request for this run. Returns its open purchase, a saved one, or a new one.

        A purchase that a dead run left `submitting` becomes `ambiguous`: its POST may have been billed.

        Args:
            request_key: of the request.
            request: its canonical form.
            run_id: the run that claims.
            replaces: id of a purchase that a new one replaces: saved (`force`, or its files are gone), or failed.
                Another saved or failed purchase, which another run ended meanwhile, is returned as it is.
            explicit: the user requested it again, at a possible cost: earlier lost answers no longer count.

        Raises:
            Held: another active run works on it.
        """
        now = time.time()
        values: dict[str, Any] = {"request_key": request_key, "request": request, "run_id": run_id}
        values |= {"state": PurchaseState.PLANNED, "asked_anew": explicit, "created_at": now, "updated_at": now}
        try:
            with self.database.write(request_key) as connection:
                new = connection.execute(statements.ADD_IF_FIRST, {**values, "replaces": replaces or 0}).scalar()
                if new is None:
                    latest = queries.latest_purchase(connection, request_key)
                    if latest and latest.state in OPEN_STATES:
                        if latest.run_id not in (None, run_id) and self._lives.is_alive(connection, latest.run_id):
                            raise Held(request_key)
                        return self._take_over(connection, latest, run_id, now, explicit=explicit)
                    if latest and latest.state in (PurchaseState.SAVED, PurchaseState.FAILED) and latest.id != replaces:
                        return latest
                    new = _id(connection.execute(statements.ADD_PURCHASE, values).inserted_primary_key)
        except IntegrityError as error:
            if _ONE_OPEN in str(error.orig):  # by a program that does not lock as this one does
                raise Held(request_key) from error
            raise
        return Purchase(new, request_key, request, PurchaseState.PLANNED, now, now, run_id)

    def _take_over(
        self, connection: Connection, purchase: Purchase, run_id: str, now: float, *, explicit: bool
    ) -> Purchase:
        changes: dict[str, Any] = {"run_id": run_id, "updated_at": now}
        if explicit and purchase.state == PurchaseState.PLANNED:
            changes["asked_anew"] = True
        if purchase.state == PurchaseState.SUBMITTING:
            changes["state"] = PurchaseState.AMBIGUOUS
            lost = {"of_purchase": purchase.id, "of_billing": Billing.SENT, "billing": Billing.AMBIGUOUS}
            connection.execute(statements.SETTLE_ALL, lost)
        connection.execute(update(purchases).where(purchases.c.id == purchase.id).values(**changes))
        return queries.purchase(connection, purchase.id)

    def send(
        self, purchase: Purchase, run_id: str, pictures_asked: int, limits: Limits, service: str | None = None
    ) -> int:
        """Record that a POST is sent now, and reserve its price under all limits. Returns the post's id.

        The only place where a POST is recorded: its checks apply to every run, however it was started.

        Raises:
            RepeatsUsedUp: the request was billed without a picture too often.
            LimitReached: a cap would be exceeded.
            NotYet: the requests of this minute, or in flight, are used up.
            ClosedError: the ledger was copied to another place while this run counted as dead.
            LedgerError: another run has taken the purchase over.
        """
        price = None if limits.price is None else limits.price * pictures_asked
        row = {"run_id": run_id, "pictures": pictures_asked, "price": price, "currency": limits.currency}
        allowed = {"request_key": purchase.request_key, "lost_answers": limits.lost_answers}
        with self.database.write(purchase.request_key, *limits.locks(run_id)) as connection:
            now = time.time()
            check_caps(connection, run_id, pictures_asked, price or 0.0, limits, now)
            check_rate(connection, limits, now)
            check_in_flight(connection, limits, now, self._lives.is_alive)
            row |= {"sent_at": now, "billing": Billing.SENT, **_mine(purchase)}
            post = connection.execute(statements.ADD_POST_IF_ALLOWED, {**row, **allowed}).scalar()
            if post is None:
                check_open(connection)
                check_repeats(connection, purchase.request_key, limits)
                raise LedgerError(_TAKEN_OVER)
            step = {"state": PurchaseState.SUBMITTING, "service": service, "updated_at": now}
            connection.execute(statements.STEP, {**_mine(purchase), **step}, execution_options=LATER)
            return int(post)

    def accepted(self, purchase: Purchase, post_id: int, task_id: str) -> None:
        """The service accepted a task: it is billed, and never submitted again."""
        with self.database.write(purchase.request_key, urgent=True, once=True) as connection:
            _settle(connection, purchase, post_id, Billing.BILLED)
            self._change(connection, purchase, state=PurchaseState.SUBMITTED, task_id=task_id)

    def answered(self, purchase: Purchase, post_id: int | None, image_urls: Sequence[str], seed: int | None) -> None:
        """The pictures are ready: at these URLs or, without any, in the answer that is being saved now."""
        with self.database.write(purchase.request_key, urgent=True, once=True) as connection:
            if post_id is not None:
                _settle(connection, purchase, post_id, Billing.BILLED)
            answer = {"answer": json.dumps(list(image_urls)), "answered_at": time.time()}
            self._change(connection, purchase, state=PurchaseState.READY, seed=seed, **answer)

    def not_taken(self, purchase: Purchase, post_id: int) -> None:
        """The service did not accept the request: nothing was billed, the reservation is released."""
        with self.database.write(purchase.request_key, urgent=True, once=True) as connection:
            _settle(connection, purchase, post_id, Billing.FREE)
            self._change(connection, purchase, state=PurchaseState.PLANNED)

    def not_sent(self, purchase: Purchase, post_id: int) -> None:
        """Nothing was sent from this machine: the POST is deleted."""
        with self.database.write(purchase.request_key, urgent=True) as connection:
            self._change(connection, purchase, state=PurchaseState.PLANNED)
            connection.execute(delete(posts).where(posts.c.id == post_id))

    def answer_lost(self, purchase: Purchase, post_id: int, error_class: str, message: str) -> None:
        """The request was sent, and its answer was lost or not understood: it may have been billed."""
        with self.database.write(purchase.request_key, urgent=True, once=True) as connection:
            _settle(connection, purchase, post_id, Billing.AMBIGUOUS)
            self._change(
                connection, purchase, state=PurchaseState.AMBIGUOUS, error_class=error_class, error_message=message
            )

    def lost_answers(self, request_key: str) -> int:
        """Number of POSTs of a request, by all runs, that were or may have been billed and gave no picture."""
        with self.database.read() as connection:
            return lost_answers(connection, request_key)

    def answered_posts(self, request_key: str) -> int:
        """Number of POSTs of a request, by all runs, that were billed or had an answer that was not understood."""
        with self.database.read() as connection:
            of_it = posts.join(purchases, purchases.c.id == posts.c.purchase_id)
            no_use = (posts.c.billing == Billing.AMBIGUOUS) & purchases.c.error_class.in_(("not_understood", "refused"))
            answered = (purchases.c.request_key == request_key) & ((posts.c.billing == Billing.BILLED) | no_use)
            return int(connection.execute(select(func.count()).select_from(of_it).where(answered)).scalar_one())

    def ended(
        self,
        purchase: Purchase,
        state: PurchaseState,
        error_class: str,
        code: str,
        message: str,
        retry_at: float | None = None,
    ) -> None:
        """The purchase ends with an error; or (submitted, ready) it stays open for the next run, error recorded."""
        with self.database.write(purchase.request_key, urgent=True) as connection:
            self._change(
                connection,
                purchase,
                state=state,
                error_class=error_class,
                error_code=code,
                error_message=message,
                retry_at=retry_at,
            )
            if state == PurchaseState.FAILED:  # an answer with broken pictures is billed, too
                _settle_sent(connection, purchase.id)

    def note(self, purchase: Purchase, error_class: str, code: str, message: str) -> None:
        """Record an error of a request that is still to be sent; does nothing if it is no longer `planned`."""
        still = (purchases.c.id == purchase.id) & (purchases.c.run_id == purchase.run_id)
        values = {"error_class": error_class, "error_code": code, "error_message": message, "updated_at": time.time()}
        with self.database.write(purchase.request_key) as connection:
            connection.execute(
                update(purchases).where(still, purchases.c.state == PurchaseState.PLANNED).values(**values)
            )

    def saved(self, purchase: Purchase, selection: Selection) -> None:
        """Its files are on disk: record them, and make them their prompt's current pictures, in one step."""
        with self.database.write(purchase.request_key, urgent=True) as connection:
            if purchase.state != PurchaseState.SAVED:  # copies of saved files do not change the purchase
                self._change(
                    connection, purchase, state=PurchaseState.SAVED, seed=purchase.seed, error_class=None, retry_at=None
                )
            _settle_sent(connection, purchase.id)
            if purchase.state == PurchaseState.AMBIGUOUS and any(
                file.origin == Origin.ADOPTED for file in selection.files
            ):
                _answer_found(connection, purchase.id)
            mine = {"of_purchase": purchase.id, "of_prompt": selection.prompt_id}
            connection.execute(statements.FORGET_PICTURES, mine)  # records of files that are gone and replaced by these
            connection.execute(statements.ADD_PICTURES, [record_values(file) for file in selection.files])
            _select(connection, selection)

    def read_back(
        self,
        purchase: Purchase,
        paid: PaidAnswer,
        task_id: str | None = None,
        image_urls: Sequence[str] = (),
        seed: int | None = None,
    ) -> Purchase:
        """Record a paid answer that was kept as a file: it was billed, and its content.

        If the ledger does not know its POST, one is added. Returns the updated purchase.

        Args:
            purchase: of the same request, claimed.
            paid: the answer.
            task_id, image_urls, seed: its content; all empty if the pictures themselves were in it.
        """
        with self.database.write(purchase.request_key, urgent=True) as connection:
            if not self._book_billed(connection, purchase, paid):
                return purchase
            is_task = task_id is not None and not image_urls
            unanswered = {PurchaseState.PLANNED, PurchaseState.SUBMITTING, PurchaseState.AMBIGUOUS}
            if purchase.state in (unanswered if is_task else unanswered | {PurchaseState.SUBMITTED}):
                content = {"task_id": task_id, "answer": json.dumps(list(image_urls)), "answered_at": paid.kept_at}
                state = PurchaseState.SUBMITTED if is_task else PurchaseState.READY
                self._change(connection, purchase, state=state, service=paid.service, seed=seed, **content)
            return queries.purchase(connection, purchase.id)

    def billed(self, purchase: Purchase, paid: PaidAnswer) -> None:
        """An answer that was not understood gave a picture later: it was billed."""
        with self.database.write(purchase.request_key, urgent=True) as connection:
            self._book_billed(connection, purchase, paid)

    def _book_billed(self, connection: Connection, purchase: Purchase, paid: PaidAnswer) -> bool:
        """Book the POST of a kept answer as billed. Returns whether its content may be new to the purchase."""
        of_it = posts.join(purchases, purchases.c.id == posts.c.purchase_id)
        mine = (purchases.c.request_key == paid.request_key) & posts.c.sent_at.between(paid.sent_at, paid.kept_at)
        query = select(posts.c.id, posts.c.billing, posts.c.purchase_id).select_from(of_it).where(mine)
        post = connection.execute(query.order_by(posts.c.id.desc()).limit(1)).first()
        if post is None:
            price = {"pictures": paid.pictures, "price": paid.price, "currency": paid.currency}
            row = {"purchase_id": purchase.id, "run_id": purchase.run_id, "sent_at": paid.sent_at, **price}
            connection.execute(statements.ADD_POST, {**row, "answered_at": paid.kept_at, "billing": Billing.BILLED})
            return True
        if post.billing == Billing.BILLED:  # that may be recorded, and the answer's content not yet
            return bool(post.purchase_id == purchase.id)
        values = {"purchase_id": purchase.id, "billing": Billing.BILLED, "answered_at": paid.kept_at}
        connection.execute(statements.SETTLE, {"of_post": post.id, **values})
        return True

    def adopt(self, found: Findings) -> int:
        """Record what was found in the folder of pictures. Returns the number of pictures recorded."""
        return record_findings(self.database, found, self._lives)

    def active_runs(self) -> list[str]:
        """The ids of all runs that are at work, or not known to be dead."""
        with self.database.read() as connection:
            return self.active_runs_now(connection)

    def active_runs_now(self, connection: Connection) -> list[str]:
        """The same inside a transaction, such as one during which none can start."""
        unended = connection.execute(select(runs.c.id).where(runs.c.ended_at.is_(None))).scalars().all()
        return [run_id for run_id in unended if self._lives.is_alive(connection, run_id)]

    def is_at_work(self, run_id: str) -> bool:
        """Whether a run is proved to be alive; one that is not may be alive all the same."""
        with self.database.read() as connection:
            return self._lives.is_locked(connection, run_id)

    def set_fact(self, name: str, value: str | None) -> None:
        """Store a named value about this home; `None` drops it."""
        with self.database.write(f"fact {name}") as connection:
            connection.execute(delete(facts).where(facts.c.name == name))
            connection.execute(insert(facts).values(name=name, value=value))

    def select(self, selection: Selection) -> None:
        """Make files that are recorded already the current pictures of their prompt."""
        with self.database.write() as connection:
            _select(connection, selection)

    def select_all(self, chosen: Sequence[Selection]) -> None:
        """The same for many prompts, in one transaction."""
        with self.database.write() as connection:
            for selection in chosen:
                _select(connection, selection)

    def settle(self, basis: str, found: Mapping[str, tuple[str, str]]) -> None:
        """Note which prompts a plan found current: see `settled.settle`."""
        with self.database.write("repair") as connection:
            settle(connection, basis, found)

    def forget(self, files: Iterable[PictureFile]) -> None:
        """Drop the records of files that are gone: their prompts become *missing*. Their cost stays recorded."""
        with self.database.write("repair") as connection:
            repair.forget(connection, files)

    def remember_looks(self, looks: Mapping[PictureFile, tuple[str, float]]) -> None:
        """Record perceptual hash and contrast of pictures that were saved without them."""
        with self.database.write("repair") as connection:
            repair.remember_looks(connection, looks)

    def _change(self, connection: Connection, purchase: Purchase, **values: Any) -> None:
        """Record a step of a purchase, if this run still owns it: a run that counts as dead can write no step."""
        result = connection.execute(statements.STEP, {**_mine(purchase), "updated_at": time.time(), **values})
        if not result.rowcount:
            raise LedgerError(_TAKEN_OVER)


def _mine(purchase: Purchase) -> dict[str, Any]:
    """The condition that a purchase still belongs to the run that claimed it."""
    return {"of_purchase": purchase.id, "of_run": purchase.run_id}


def _answer_found(connection: Connection, purchase_id: int) -> None:
    """The picture of a POST whose answer was lost has been found: that POST was billed."""
    lost = (posts.c.purchase_id == purchase_id) & (posts.c.billing == Billing.AMBIGUOUS)
    last = select(func.max(posts.c.id)).where(lost).scalar_subquery()
    connection.execute(update(posts).where(posts.c.id == last).values(billing=Billing.BILLED, answered_at=time.time()))


def _select(connection: Connection, selection: Selection) -> None:
    values = {name: value for name, value in record_values(selection).items() if name != "files"}
    connection.execute(statements.SELECT, values)


def _settle(connection: Connection, purchase: Purchase, post_id: int, billing: Billing) -> None:
    """Book a POST, if this run still owns its purchase; to be followed by `_change`."""
    values = {"of_post": post_id, "billing": billing, "answered_at": time.time()}
    connection.execute(statements.SETTLE_IF_OWNED, {**values, **_mine(purchase)})


def _settle_sent(connection: Connection, purchase_id: int) -> None:
    """Book the POSTs in flight of a purchase as answered and billed."""
    values = {
        "of_purchase": purchase_id,
        "of_billing": Billing.SENT,
        "billing": Billing.BILLED,
        "answered_at": time.time(),
    }
    connection.execute(statements.SETTLE_ALL, values)


def _id(primary_key: Any) -> int:
    return int(primary_key[0])
