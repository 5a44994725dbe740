"""Claim the purchase of a request, also of one that cannot be finished here and is bought anew."""

from dataclasses import dataclass
from functools import partial

from duomi_pipeline.duomi import ErrorClass
from duomi_pipeline.engine.flow_control import FlowControl
from duomi_pipeline.engine.job import Job, failure_of
from duomi_pipeline.engine.keeping import Keeper
from duomi_pipeline.engine.ledger_retry import retry_if_cut_off
from duomi_pipeline.engine.not_sent import FailedBeforeError, StoppedError
from duomi_pipeline.engine.tasks import Tasks, where
from duomi_pipeline.ledger import Ledger, Limits, Purchase, PurchaseState


@dataclass(frozen=True)
class Claimer:
    """Claims requests for one run; called from many threads."""

    ledger: Ledger
    tasks: Tasks
    keeper: Keeper
    limits: Limits
    flow: FlowControl
    run_id: str

    def claim(self, job: Job) -> Purchase:
        """Claim the request of a job: an open purchase, a saved one or a new one.

        Raises:
            StoppedError: the run was stopped before.
            FailedBeforeError: another run ended it meanwhile, and it was not chosen for a retry.
            Held: another active run works on it.
        """
        if self.flow.stopped.is_set():
            raise StoppedError
        planned = job.entries[0].purchase
        replaces = (
            planned.id if planned and planned.state in (PurchaseState.SAVED, PurchaseState.FAILED) else job.given_up
        )
        purchase = self._claimed(job, replaces, explicit=job.explicitly_requested)
        if job.explicitly_requested and self._cannot_be_finished(purchase):
            words = purchase.error_message or "given up for a new request, as the user chose"
            self.ledger.ended(purchase, PurchaseState.FAILED, ErrorClass.AMBIGUOUS, "", words)
            purchase = self._claimed(job, purchase.id, explicit=True)
        job.purchase = purchase
        if purchase.state == PurchaseState.FAILED and (
            failure := failure_of(purchase)
        ):  # by another run, while this one waited
            raise FailedBeforeError(failure)
        return purchase

    def start_over_here(self, job: Job, purchase: Purchase) -> Purchase:
        """Claim a new purchase at this service; the other service may have billed the lost answer of the old one."""
        words = f"its answer was lost at {where(purchase)}; requested from another service since"
        self.ledger.ended(purchase, PurchaseState.FAILED, ErrorClass.AMBIGUOUS, "", words)
        job.purchase = self._claimed(job, purchase.id)
        return job.purchase

    def _claimed(self, job: Job, replaces: int | None, *, explicit: bool = False) -> Purchase:
        key, request = job.request.key, job.request.canonical
        claim = partial(self.ledger.claim, key, request, self.run_id, replaces, explicit=explicit)
        return retry_if_cut_off(claim, can_be_repeated=True)  # a run that claims again what it has, gets it

    def _cannot_be_finished(self, purchase: Purchase) -> bool:
        """Whether an interrupted purchase cannot be finished here, so that a new request need not wait for it."""
        if purchase.state == PurchaseState.AMBIGUOUS:
            return self.ledger.lost_answers(purchase.request_key) >= self.limits.lost_answers
        if purchase.state == PurchaseState.READY and not purchase.image_urls:
            return not self.keeper.answers.of(purchase.request_key)
        is_denied = purchase.error_class == ErrorClass.TASK_DENIED
        return purchase.state in (PurchaseState.SUBMITTED, PurchaseState.READY) and (
            self.tasks.are_elsewhere(purchase) or is_denied
        )
