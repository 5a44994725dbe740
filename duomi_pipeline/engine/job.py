"""A job (one request of a run, with the prompts that want it), and the record of how it ended without a picture.

Buying it is in `purchase`; queueing and retrying it is in `batch`.
"""

import time
from dataclasses import dataclass

from duomi_pipeline.duomi import DuomiError, ErrorClass, ImageRequest
from duomi_pipeline.engine.ledger_retry import retry_if_cut_off
from duomi_pipeline.engine.outcome import Failure, Outcome, Status
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.states import State, decide
from duomi_pipeline.images import Listing
from duomi_pipeline.ledger import Held, Ledger, Purchase, PurchaseState

RETRY_LATER = 900.0  # seconds until the sensor retries a temporary failure


@dataclass
class Job:
    """One request, and the prompts of the run that want it.

    Attributes:
        forced: buy it although a picture of it exists.
        attempts: tries so far.
        started_at: start of the first try, in monotonic seconds.
        purchase: the purchase of its request, once claimed.
        given_up: id of a purchase that this run ended; the next try replaces it.
        is_over: the job has ended.
        failure: why it ended without a picture.
        suspect: an error that did not say whom it concerns; other prompts were tried since.
    """

    request: ImageRequest
    entries: list[PlannedPrompt]
    forced: bool = False
    attempts: int = 0
    started_at: float = 0.0
    purchase: Purchase | None = None
    given_up: int | None = None
    is_over: bool = False
    failure: Failure | None = None
    suspect: DuomiError | None = None

    @property
    def first_id(self) -> str:
        """One of its prompts."""
        return self.entries[0].prompt.id

    @property
    def is_paid_before(self) -> bool:
        """Whether it fetches what an earlier run has paid, and has sent nothing itself."""
        first = self.entries[0]
        return first.resumes and not first.sends_again and self.given_up is None

    @property
    def kept_only(self) -> bool:
        """Whether it may only use kept answers: no prompt of it was chosen for a new request."""
        return all(entry.kept_only for entry in self.entries)

    @property
    def explicitly_requested(self) -> bool:
        """Whether the user chose to buy it again, although it failed or a picture exists."""
        return self.forced or any(e.state is State.FAILED_FOR_GOOD and not e.kept_only for e in self.entries)

    @property
    def planned_failure(self) -> Failure | None:
        """How its request failed in an earlier run, as recorded when the plan was made."""
        purchase = self.entries[0].purchase
        return failure_of(purchase) if purchase is not None else None

    @property
    def failed_before(self) -> Failure | None:
        """How the request to a fallback model failed in an earlier run, if it must not be sent again.

        The plan knows only the request of the prompt's own model. A refused request is sent again where the user chose
        failed prompts; one that was or may have been billed only where he chose to buy it again.
        """
        first, purchase = self.entries[0], self.entries[0].purchase
        if first.stands_in_for is None or purchase is None or purchase.error_class is None or self.explicitly_requested:
            return None
        if decide(first.prompt, self.request.key, None, purchase, Listing()) is not State.FAILED_FOR_GOOD:
            return None
        if purchase.state == PurchaseState.REFUSED and any(
            entry.state is State.FAILED_FOR_GOOD for entry in self.entries
        ):
            return None
        return failure_of(purchase)

    def failed(self, failure: Failure) -> list[Outcome]:
        """The failed outcomes of its prompts; each prompt keeps its earlier pictures."""
        latency = time.monotonic() - self.started_at if self.started_at else 0.0
        return [
            Outcome(
                entry.prompt,
                entry.request,
                Status.FAILED,
                files=entry.selection.files if entry.selection else (),
                failure=failure,
                attempts=self.attempts,
                latency=latency,
            )
            for entry in self.entries
        ]


def failure_of(purchase: Purchase) -> Failure | None:
    """The recorded failure of a purchase; `None` where there is none, or its error class is unknown here."""
    known = next((known for known in ErrorClass if known == purchase.error_class), None)
    return (
        None if known is None else Failure(known, purchase.error_code or "", purchase.error_message or "", final=True)
    )


@dataclass(frozen=True)
class Endings:
    """Records in the ledger how jobs ended without a picture."""

    ledger: Ledger
    run_id: str

    def record(self, job: Job, end: PurchaseState, error: DuomiError) -> None:
        """Record how its purchase ended, or why it stays open for the next run."""
        if purchase := job.purchase or self._open_purchase(job.request):
            words = (error.error_class, error.code, error.message)
            self.ledger.ended(purchase, end, *words, time.time() + RETRY_LATER)

    def note(self, job: Job, error: DuomiError) -> None:
        """Record the error of a job that stays open; the next run tries other prompts first."""
        if purchase := job.purchase:
            self.ledger.note(purchase, error.error_class, error.code, error.message)

    def record_on_original_request(self, job: Job, failure: Failure) -> None:
        """Record the failure of a fallback request on the original requests, too: the plan reads only those."""
        originals = {entry.stands_in_for.key: entry.stands_in_for for entry in job.entries if entry.stands_in_for}
        for request in originals.values():
            if purchase := self._open_purchase(request):
                words = f"{job.request.model}, in place of {request.model}: {failure.message}"
                end = PurchaseState.REFUSED if failure.final else PurchaseState.FAILED
                self.ledger.ended(purchase, end, failure.error_class, failure.code, words, time.time() + RETRY_LATER)

    def _open_purchase(self, request: ImageRequest) -> Purchase | None:
        """Claim a purchase for recording its end; `None` where another run holds it or it was sent already."""
        latest = self.ledger.latest_purchases({request.key}).get(request.key)
        try:
            purchase = retry_if_cut_off(
                lambda: self.ledger.claim(request.key, request.canonical, self.run_id, latest.id if latest else None),
                can_be_repeated=True,
            )
        except Held:
            return None
        return purchase if purchase.state == PurchaseState.PLANNED else None
