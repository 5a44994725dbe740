"""A job: one request of a run, and how it ends without a picture. Buying it is `purchase`'s, retrying `batch`'s."""

import time
from dataclasses import dataclass
from typing import Literal

from duomi_pipeline.duomi import DuomiError, ErrorClass, ImageRequest
from duomi_pipeline.engine.outcome import Failure, Outcome, Status
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.states import State, decide
from duomi_pipeline.images import Listing
from duomi_pipeline.ledger import Held, Ledger, Purchase

RETRY_LATER = 900.0  # seconds until the sensor tries a failure for now again
End = Literal["refused", "failed", "submitted", "ready"]


@dataclass
class Job:
    """One request, and the prompts of the run that want it.

    Attributes:
        anew: buy it although a picture of it is there.
        attempts: tries so far.
        started_at: of the first try, in monotonic seconds.
        purchase: of its request, once claimed.
        given_up: id of a purchase that this run ended, to be followed by a new one.
        is_over: nothing more is done for it.
        failure: that it ended with.
        suspect: the answer that is its own matter after all, now that others were asked.
    """

    request: ImageRequest
    entries: list[PlannedPrompt]
    anew: bool = False
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
    def looks_only(self) -> bool:
        """Whether it may be brought to pictures only by what is kept of it: nobody chose to ask for it again."""
        return all(entry.looks_only for entry in self.entries)

    @property
    def asked_anew(self) -> bool:
        """Whether the user asks for it knowing that it failed, or that a picture is there."""
        return self.anew or any(e.state is State.FAILED_FOR_GOOD and not e.looks_only for e in self.entries)

    @property
    def planned_failure(self) -> Failure | None:
        """How its request failed in an earlier run, as the plan had it."""
        purchase = self.entries[0].purchase
        return failure_of(purchase) if purchase is not None else None

    @property
    def failed_before(self) -> Failure | None:
        """How a fallback's request failed in an earlier run, if it is not to be sent again.

        The plan looked at another request: what was refused is asked again where the user chose failed prompts, what
        was, or may have been, billed without a picture only where he chose to buy anew.
        """
        first, purchase = self.entries[0], self.entries[0].purchase
        if first.stands_in_for is None or purchase is None or purchase.error_class is None or self.asked_anew:
            return None
        if decide(first.prompt, self.request.key, None, purchase, Listing()) is not State.FAILED_FOR_GOOD:
            return None
        if purchase.state == "refused" and any(entry.state is State.FAILED_FOR_GOOD for entry in self.entries):
            return None
        return failure_of(purchase)

    def failed(self, failure: Failure) -> list[Outcome]:
        """The outcomes of its prompts: each keeps the pictures that it had."""
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
    """The failure that a purchase has on record; `None` where it has none, or one of another version."""
    known = next((known for known in ErrorClass if known == purchase.error_class), None)
    return (
        None if known is None else Failure(known, purchase.error_code or "", purchase.error_message or "", final=True)
    )


@dataclass(frozen=True)
class Endings:
    """Tells the ledger how the jobs of a run ended that brought no picture."""

    ledger: Ledger
    run_id: str

    def record(self, job: Job, end: End, error: DuomiError) -> None:
        """Write how its purchase ended, or why it stays open for the next run."""
        if purchase := job.purchase or self._open_purchase(job.request):
            words = (error.error_class, error.code, error.message)
            self.ledger.ended(purchase, end, *words, time.time() + RETRY_LATER)

    def note(self, job: Job, error: DuomiError) -> None:
        """Write what a request met that stays to be sent: the next run tries others first."""
        if purchase := job.purchase:
            self.ledger.note(purchase, error.error_class, error.code, error.message)

    def record_on_original_request(self, job: Job, failure: Failure) -> None:
        """Write a fallback's failure to the requests that it stood in for, too: those are what the plan looks at."""
        asked = {entry.stands_in_for.key: entry.stands_in_for for entry in job.entries if entry.stands_in_for}
        for request in asked.values():
            if purchase := self._open_purchase(request):
                words = f"{job.request.model}, in place of {request.model}: {failure.message}"
                end: End = "refused" if failure.final else "failed"
                self.ledger.ended(purchase, end, failure.error_class, failure.code, words, time.time() + RETRY_LATER)

    def _open_purchase(self, request: ImageRequest) -> Purchase | None:
        """A purchase of a request that nothing hangs on, to write its end to; `None` where it has come further."""
        latest = self.ledger.latest_purchases({request.key}).get(request.key)
        try:
            purchase = self.ledger.claim(request.key, request.canonical, self.run_id, latest.id if latest else None)
        except Held:
            return None
        return purchase if purchase.state == "planned" else None
