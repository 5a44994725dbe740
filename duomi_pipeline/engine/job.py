"""A job: one request of a run, and how it ends without a picture. Bringing it to one is `buy`'s, retrying `batch`'s."""

import time
from dataclasses import dataclass
from typing import Literal

from duomi_pipeline.duomi import DuomiError, ImageRequest
from duomi_pipeline.engine.outcome import Failure, Outcome
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.states import State, decide
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
        purchase: its chain, once claimed.
        is_over: nothing more is done for it.
        failure: that it ended with.
    """

    request: ImageRequest
    entries: list[PlannedPrompt]
    anew: bool = False
    attempts: int = 0
    started_at: float = 0.0
    purchase: Purchase | None = None
    is_over: bool = False
    failure: Failure | None = None

    @property
    def failed_before(self) -> Failure | None:
        """How a fallback's request failed in an earlier run, if it is not to be sent again.

        The plan looked at another request: what was refused is asked again where the user chose failed prompts, what
        was, or may have been, billed without a picture only where he chose to buy anew.
        """
        first, chain = self.entries[0], self.entries[0].purchase
        if first.stands_in_for is None or chain is None or chain.error_class is None or self.anew:
            return None
        if decide(first.prompt, self.request.key, None, chain, {}) is not State.FAILED_FOR_GOOD:
            return None
        if chain.state == "refused" and any(entry.state is State.FAILED_FOR_GOOD for entry in self.entries):
            return None
        return Failure(chain.error_class, chain.error_code or "", chain.error_message or "", final=True)

    def failed(self, failure: Failure) -> list[Outcome]:
        """The outcomes of its prompts: each keeps the pictures that it had."""
        latency = time.monotonic() - self.started_at if self.started_at else 0.0
        return [
            Outcome(
                entry.prompt,
                entry.request,
                "failed",
                files=entry.selection.files if entry.selection else (),
                failure=failure,
                attempts=self.attempts,
                latency=latency,
            )
            for entry in self.entries
        ]


@dataclass(frozen=True)
class Endings:
    """Tells the ledger how the jobs of a run ended that brought no picture."""

    ledger: Ledger
    run_id: str

    def record(self, job: Job, end: End, error: DuomiError) -> None:
        """Write how its chain ended, or why it stays open for the next run."""
        if chain := job.purchase or self._open_chain(job.request):
            words = (error.error_class, error.code, error.message)
            self.ledger.ended(chain, end, *words, time.time() + RETRY_LATER)

    def tell_asked(self, job: Job, failure: Failure) -> None:
        """Write a fallback's failure to the requests that it stood in for, too: those are what the plan looks at."""
        asked = {entry.stands_in_for.key: entry.stands_in_for for entry in job.entries if entry.stands_in_for}
        for request in asked.values():
            if chain := self._open_chain(request):
                words = f"{job.request.model}, in place of {request.model}: {failure.message}"
                end: End = "refused" if failure.final else "failed"
                self.ledger.ended(chain, end, failure.error_class, failure.code, words, time.time() + RETRY_LATER)

    def _open_chain(self, request: ImageRequest) -> Purchase | None:
        """A chain of a request that nothing hangs on, to write its end to; `None` where it has come further."""
        latest = self.ledger.latest_purchases({request.key}).get(request.key)
        try:
            chain = self.ledger.claim(request.key, request.canonical, self.run_id, latest.id if latest else None)
        except Held:
            return None
        return chain if chain.state == "planned" else None
