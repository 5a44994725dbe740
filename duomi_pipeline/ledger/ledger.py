"""The ledger: each step towards a picture is written here before it happens. Read queries are in `queries`.

planned ── submitting ─┬─ submitted (task id) ─┬─ ready (addresses) ── saved
   └──────<── free ────┤                       └─ refused | failed
                       └─ ambiguous (the answer was lost: may have been billed)
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from duomi_pipeline.ledger import queries as reading
from duomi_pipeline.ledger import repair, statements
from duomi_pipeline.ledger.database import Database, LedgerError
from duomi_pipeline.ledger.file_locks import FileLocks
from duomi_pipeline.ledger.leases import Lives
from duomi_pipeline.ledger.limits import Limits, check_caps, check_pace, check_repeats, lost_answers
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
from duomi_pipeline.ledger.repair import Findings, record_findings
from duomi_pipeline.ledger.schema import OPEN_STATES, facts, posts, purchases, runs
from duomi_pipeline.ledger.session_locks import SessionLocks


class Held(Exception):  # noqa: N818 - a signal, not a failure
    """Another living run works on this very request."""


class Ledger(LedgerReader):
    """The ledger as one run uses it.

    Args:
        url: SQLAlchemy URL; a relative SQLite file lies in `home`.
        clock: by which other runs' silence is measured, in seconds from any point in time.
    """

    def __init__(self, url: str, home: Path, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(Database(url, home))
        is_postgresql = self.database.engine.dialect.name == "postgresql"
        self._lives: Lives = (
            SessionLocks(self.database.engine) if is_postgresql else FileLocks(self.database.file, clock)
        )

    def close(self) -> None:
        """Give the database back. Runs that were started here are dead, unless another session goes on with them."""
        self._lives.release()
        self.database.close()

    def check_not_lost(self) -> None:
        """Look whether the ledger is still the one that was opened.

        Raises:
            LedgerLostError: it was deleted, moved or replaced.
        """
        self.database.check()

    def start_run(self, run_id: str, trigger: str) -> None:
        """Write that a run lives and what started it.

        Raises:
            LedgerError: it lives in another process.
        """
        with self.database.write() as connection:
            self._lives.begin(connection, run_id, trigger)

    def renew_run(self, run_id: str) -> None:
        """Give a sign of life; at least every `leases.HEARTBEAT` seconds."""
        with self.database.write() as connection:
            self._lives.renew(connection, run_id)

    def end_run(self, run_id: str, stopped_by: str | None, message: str | None, counts: dict[str, int]) -> None:
        """Write how a run ended; what it held is free for others."""
        with self.database.write() as connection:
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
        """Whether a run's process is known to be dead, whether or not it said that it ended."""
        with self.database.read() as connection:
            return self._lives.is_gone(connection, run_id)

    def claim(
        self,
        request_key: str,
        request: str,
        run_id: str,
        replaces: int | None = None,
        *,
        anew: bool = False,
    ) -> Purchase:
        """Make a request this run's own: its open purchase, a saved one, or a new one.

        A purchase that a dead run left `submitting` comes back `ambiguous`: its POST may have been billed.

        Args:
            request_key: of the request.
            request: its canonical form.
            run_id: the run that claims.
            replaces: a purchase to be followed by a new one: saved (`force`, or its files are gone), or failed.
                Any other such purchase, which another run ended meanwhile, is returned as it is.
            anew: the user asks for it, knowing what it may cost: what was lost before counts no more.

        Raises:
            Held: another living run works on it.
        """
        now = time.time()
        with self.database.write() as connection:
            latest = reading.latest_purchase(connection, request_key)
            if latest and latest.state in OPEN_STATES:
                if latest.run_id not in (None, run_id) and self._lives.is_alive(connection, latest.run_id):
                    raise Held(request_key)
                return self._take_over(connection, latest, run_id, now, anew=anew)
            if latest and latest.state in (PurchaseState.SAVED, PurchaseState.FAILED) and latest.id != replaces:
                return latest
            values = {"request_key": request_key, "request": request, "state": PurchaseState.PLANNED, "run_id": run_id}
            more = {"asked_anew": anew, "created_at": now, "updated_at": now}
            inserted = connection.execute(statements.ADD_PURCHASE, {**values, **more})
            return Purchase(
                _id(inserted.inserted_primary_key), request_key, request, PurchaseState.PLANNED, now, now, run_id
            )

    def _take_over(
        self, connection: Connection, purchase: Purchase, run_id: str, now: float, *, anew: bool
    ) -> Purchase:
        changes: dict[str, Any] = {"run_id": run_id, "updated_at": now}
        if anew and purchase.state == PurchaseState.PLANNED:
            changes["asked_anew"] = True
        if purchase.state == PurchaseState.SUBMITTING:
            changes["state"] = PurchaseState.AMBIGUOUS
            lost = {"of_purchase": purchase.id, "of_billing": Billing.SENT, "billing": Billing.AMBIGUOUS}
            connection.execute(statements.SETTLE_ALL, lost)
        connection.execute(update(purchases).where(purchases.c.id == purchase.id).values(**changes))
        return reading.purchase(connection, purchase.id)

    def send(
        self, purchase: Purchase, run_id: str, pictures_asked: int, limits: Limits, service: str | None = None
    ) -> int:
        """Write that a POST goes out now to a service, reserving its price under all limits. Returns the post's id.

        The one place where a POST is written: what it checks holds however a run was started.

        Raises:
            RepeatsUsedUp: it could be one more bill without a picture.
            LimitReached: a cap would be passed.
            NotYet: the requests of this minute are used up.
        """
        now = time.time()
        price = None if limits.price is None else limits.price * pictures_asked
        with self.database.write() as connection:
            check_repeats(connection, purchase.request_key, limits)
            check_caps(connection, run_id, pictures_asked, price or 0.0, limits, now)
            check_pace(connection, limits, now)
            self._change(connection, purchase, state=PurchaseState.SUBMITTING, service=service)
            row = {"purchase_id": purchase.id, "run_id": run_id, "sent_at": now, "pictures": pictures_asked}
            bill = {"price": price, "currency": limits.currency, "billing": Billing.SENT}
            return _id(connection.execute(statements.ADD_POST, {**row, **bill}).inserted_primary_key)

    def accepted(self, purchase: Purchase, post_id: int, task_id: str) -> None:
        """The service took a task: billed, and never to be submitted again."""
        with self.database.write() as connection:
            self._change(connection, purchase, state=PurchaseState.SUBMITTED, task_id=task_id)
            _settle(connection, post_id, Billing.BILLED)

    def answered(self, purchase: Purchase, post_id: int | None, image_urls: Sequence[str], seed: int | None) -> None:
        """The pictures are there: at these addresses, or (none) in the answer that is being saved now."""
        with self.database.write() as connection:
            answer = {"answer": json.dumps(list(image_urls)), "answered_at": time.time()}
            self._change(connection, purchase, state=PurchaseState.READY, seed=seed, **answer)
            if post_id is not None:
                _settle(connection, post_id, Billing.BILLED)

    def not_taken(self, purchase: Purchase, post_id: int) -> None:
        """The service did not take the request: nothing was billed, the reservation is given back."""
        with self.database.write() as connection:
            self._change(connection, purchase, state=PurchaseState.PLANNED)
            _settle(connection, post_id, Billing.FREE)

    def not_sent(self, purchase: Purchase, post_id: int) -> None:
        """Nothing left this machine: there was no POST."""
        with self.database.write() as connection:
            self._change(connection, purchase, state=PurchaseState.PLANNED)
            connection.execute(delete(posts).where(posts.c.id == post_id))

    def answer_lost(self, purchase: Purchase, post_id: int, error_class: str, message: str) -> None:
        """The request was sent, and its answer was lost or says nothing: it may have been billed."""
        with self.database.write() as connection:
            self._change(
                connection, purchase, state=PurchaseState.AMBIGUOUS, error_class=error_class, error_message=message
            )
            _settle(connection, post_id, Billing.AMBIGUOUS)

    def lost_answers(self, request_key: str) -> int:
        """POSTs of a request, by all runs, that were or may have been billed and gave no picture."""
        with self.database.read() as connection:
            return lost_answers(connection, request_key)

    def answered_posts(self, request_key: str) -> int:
        """POSTs of a request, by all runs, that were billed and answered, or answered so that nobody understands it."""
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
        """The purchase ends with an error; or (submitted, ready) it stays open for the next run, the error noted."""
        with self.database.write() as connection:
            self._change(
                connection,
                purchase,
                state=state,
                error_class=error_class,
                error_code=code,
                error_message=message,
                retry_at=retry_at,
            )
            if state == PurchaseState.FAILED:  # an answer came, but its pictures were broken: billed all the same
                _settle_sent(connection, purchase.id)

    def note(self, purchase: Purchase, error_class: str, code: str, message: str) -> None:
        """Write what a request met that is still to be sent; nothing happens where it has come further meanwhile."""
        still = (purchases.c.id == purchase.id) & (purchases.c.run_id == purchase.run_id)
        words = {"error_class": error_class, "error_code": code, "error_message": message, "updated_at": time.time()}
        with self.database.write() as connection:
            connection.execute(
                update(purchases).where(still, purchases.c.state == PurchaseState.PLANNED).values(**words)
            )

    def saved(self, purchase: Purchase, selection: Selection) -> None:
        """Its files are on disk: record them, and make them their prompt's current pictures, in one step."""
        with self.database.write() as connection:
            if purchase.state != PurchaseState.SAVED:  # a copy of what is saved changes nothing of the purchase
                self._change(
                    connection, purchase, state=PurchaseState.SAVED, seed=purchase.seed, error_class=None, retry_at=None
                )
            _settle_sent(connection, purchase.id)
            if purchase.state == PurchaseState.AMBIGUOUS and any(
                file.origin == Origin.ADOPTED for file in selection.files
            ):
                _answer_found(connection, purchase.id)
            mine = {"of_purchase": purchase.id, "of_prompt": selection.prompt_id}
            connection.execute(statements.FORGET_PICTURES, mine)  # of files that are gone and are replaced by these
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
        """A paid answer that was kept elsewhere is entered in the ledger: that it was billed, and what it contained.

        A ledger that does not know its POST books one. Returns the purchase as it is then.

        Args:
            purchase: of the same request, claimed.
            paid: the answer.
            task_id, image_urls, seed: what it contained; all empty where its pictures are in hand.
        """
        with self.database.write() as connection:
            if not self._is_told(connection, purchase, paid):
                return purchase
            is_task = task_id is not None and not image_urls
            unanswered = {PurchaseState.PLANNED, PurchaseState.SUBMITTING, PurchaseState.AMBIGUOUS}
            if purchase.state in (unanswered if is_task else unanswered | {PurchaseState.SUBMITTED}):
                contained = {"task_id": task_id, "answer": json.dumps(list(image_urls)), "answered_at": paid.kept_at}
                state = PurchaseState.SUBMITTED if is_task else PurchaseState.READY
                self._change(connection, purchase, state=state, service=paid.service, seed=seed, **contained)
            return reading.purchase(connection, purchase.id)

    def billed(self, purchase: Purchase, paid: PaidAnswer) -> None:
        """A picture of an answer that was not understood could be read after all: it was billed for sure."""
        with self.database.write() as connection:
            self._is_told(connection, purchase, paid)

    def _is_told(self, connection: Connection, purchase: Purchase, paid: PaidAnswer) -> bool:
        """Book the POST of a kept answer as billed; whether the ledger has something to learn from it."""
        of_it = posts.join(purchases, purchases.c.id == posts.c.purchase_id)
        mine = (purchases.c.request_key == paid.request_key) & posts.c.sent_at.between(paid.sent_at, paid.kept_at)
        query = select(posts.c.id, posts.c.billing, posts.c.purchase_id).select_from(of_it).where(mine)
        post = connection.execute(query.order_by(posts.c.id.desc()).limit(1)).first()
        if post is None:
            price = {"pictures": paid.pictures, "price": paid.price, "currency": paid.currency}
            row = {"purchase_id": purchase.id, "run_id": purchase.run_id, "sent_at": paid.sent_at, **price}
            connection.execute(statements.ADD_POST, {**row, "answered_at": paid.kept_at, "billing": Billing.BILLED})
            return True
        if post.billing == Billing.BILLED:  # the bill may be known, and not yet all that the answer contained
            return bool(post.purchase_id == purchase.id)
        values = {"purchase_id": purchase.id, "billing": Billing.BILLED, "answered_at": paid.kept_at}
        connection.execute(statements.SETTLE, {"of_post": post.id, **values})
        return True

    def adopt(self, found: Findings) -> int:
        """Record what was found in the folder of pictures. Returns how many pictures are known now that were not."""
        return record_findings(self.database, found, self._lives)

    def set_fact(self, name: str, value: str) -> None:
        """Write something that is known of the home."""
        with self.database.write() as connection:
            connection.execute(delete(facts).where(facts.c.name == name))
            connection.execute(insert(facts).values(name=name, value=value))

    def select(self, selection: Selection) -> None:
        """Make files that are recorded already their prompt's current pictures again."""
        with self.database.write() as connection:
            _select(connection, selection)

    def forget(self, files: Iterable[PictureFile]) -> None:
        """Drop the records of files that are gone; their prompts are *missing* then. What they cost stays recorded."""
        with self.database.write() as connection:
            repair.forget(connection, files)

    def remember_looks(self, looks: Mapping[PictureFile, tuple[str, float]]) -> None:
        """Write what pictures look like, as perceptual hash and contrast; of ones saved without."""
        with self.database.write() as connection:
            repair.remember_looks(connection, looks)

    def _change(self, connection: Connection, purchase: Purchase, **values: Any) -> None:
        """Write a step of a purchase while it is still this run's: a run that was taken for dead writes no more."""
        mine = {"of_purchase": purchase.id, "of_run": purchase.run_id}
        result = connection.execute(statements.STEP, {**mine, "updated_at": time.time(), **values})
        if not result.rowcount:
            raise LedgerError("Another run has taken this request over; this run was taken for dead.")


def _answer_found(connection: Connection, purchase_id: int) -> None:
    """The picture of a POST whose answer seemed lost was found: it was billed, once, for sure."""
    lost = (posts.c.purchase_id == purchase_id) & (posts.c.billing == Billing.AMBIGUOUS)
    last = select(func.max(posts.c.id)).where(lost).scalar_subquery()
    connection.execute(update(posts).where(posts.c.id == last).values(billing=Billing.BILLED, answered_at=time.time()))


def _select(connection: Connection, selection: Selection) -> None:
    values = {name: value for name, value in record_values(selection).items() if name != "files"}
    if not connection.execute(statements.SELECT_INSTEAD, {"of_prompt": selection.prompt_id, **values}).rowcount:
        connection.execute(statements.SELECT, values)


def _settle(connection: Connection, post_id: int, billing: Billing) -> None:
    values = {"of_post": post_id, "billing": billing, "answered_at": time.time()}
    connection.execute(statements.SETTLE, values)


def _settle_sent(connection: Connection, purchase_id: int) -> None:
    """What is on the wire of a purchase has been answered."""
    values = {
        "of_purchase": purchase_id,
        "of_billing": Billing.SENT,
        "billing": Billing.BILLED,
        "answered_at": time.time(),
    }
    connection.execute(statements.SETTLE_ALL, values)


def _id(primary_key: Any) -> int:
    return int(primary_key[0])
