"""Get the pictures of a claimed purchase from the service: send its request, wait for its task, or go on with either.

Each step is recorded in the ledger before it happens.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from duomi_pipeline.duomi import ErrorClass, ImageRequest
from duomi_pipeline.duomi.answers import Pictures, Task
from duomi_pipeline.duomi.client import DuomiClient
from duomi_pipeline.duomi.errors import ConfigurationError, DuomiError, KeptElsewhere, NotSent, TaskElsewhere
from duomi_pipeline.duomi.pictures import Image
from duomi_pipeline.duomi.reactions import Billed
from duomi_pipeline.engine.fallback import Fallbacks
from duomi_pipeline.engine.flow_control import FlowControl
from duomi_pipeline.engine.keeping import Keeper
from duomi_pipeline.engine.ledger_retry import retry_if_cut_off, retry_ledger_write
from duomi_pipeline.engine.not_sent import FailedBeforeError, NoRoomError, StoppedError
from duomi_pipeline.engine.outcome import Failure
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.tasks import Tasks
from duomi_pipeline.images import ImageStore
from duomi_pipeline.ledger import Ledger, Limits, Purchase, PurchaseState, RepeatsUsedUp
from duomi_pipeline.settings import Settings


@dataclass(frozen=True)
class Sender:
    """Sends the requests of one run; called from many threads."""

    settings: Settings
    client: DuomiClient
    ledger: Ledger
    store: ImageStore
    tasks: Tasks
    keeper: Keeper
    limits: Limits
    fallbacks: Fallbacks
    flow: FlowControl
    run_id: str

    def check(self, request: ImageRequest) -> None:
        """Raise a known error of a request instead of sending it."""
        if request.problem:
            raise ConfigurationError(str(request.problem))
        self.fallbacks.check(request)

    def pictures(self, entry: PlannedPrompt, purchase: Purchase) -> Pictures:
        """The service's pictures for a purchase, from the step that it has reached.

        Raises:
            StoppedError: the run was stopped before its request was sent.
            FailedBeforeError: it must not be sent again.
            NoRoomError: the disk is full; nothing was sent.
            NotYet, LimitReached: the ledger does not allow it now.
            DuomiError: an API error; the ledger has the step that was reached.
        """
        if purchase.state == PurchaseState.SUBMITTED:
            return self._wait(entry, purchase)
        if purchase.state == PurchaseState.READY:
            return self._recorded_pictures(purchase)
        return self._send(entry, purchase)

    def _recorded_pictures(self, purchase: Purchase) -> Pictures:
        """The pictures whose addresses an earlier run recorded.

        Raises:
            KeptElsewhere: there are none: the pictures were in the answer, and saved or kept by whoever received it.
            TaskElsewhere: an address is relative to another service.
        """
        if not purchase.image_urls:
            raise KeptElsewhere("its paid picture is kept in another home folder, that of the machine that received it")
        if self.tasks.are_elsewhere(purchase) and not all("://" in url for url in purchase.image_urls):
            raise TaskElsewhere("the picture is at another service than that of the settings")
        return Pictures(tuple(Image(url=url) for url in purchase.image_urls), purchase.seed, purchase.task_id)

    def _wait(self, entry: PlannedPrompt, purchase: Purchase) -> Pictures:
        with self.keeper.holding(entry, purchase, Task(purchase.task_id or "")):
            pictures = replace(self.tasks.wait(entry.request, purchase), task_id=purchase.task_id)
        self._note(entry, purchase, None, pictures)
        return pictures

    def _note(self, entry: PlannedPrompt, purchase: Purchase, post: int | None, answer: Pictures) -> None:
        """Record the addresses of the pictures; bytes without an address are saved at once instead.

        The API key is masked in an address. This run can still download it; a later run, after a kill, cannot.
        """
        urls = [self.client.masked(image.url) for image in answer.images if image.url]
        if len(urls) == len(answer.images):
            self.write(entry, purchase, answer, lambda: self.ledger.answered(purchase, post, urls, answer.seed))

    def write(
        self, entry: PlannedPrompt, purchase: Purchase, answer: Pictures | Task, write: Callable[[], None]
    ) -> None:
        """Record an answer in the ledger, by a write that is tried again; the answer is kept until it is recorded."""
        with self.keeper.holding(entry, purchase, answer):
            self.keeper.write(write, entry, purchase, answer)

    def _send(self, entry: PlannedPrompt, purchase: Purchase) -> Pictures:
        """POST the request, under all limits; wait for an asynchronous task."""
        with self.flow.slot() as may_send:
            if not may_send:
                raise StoppedError
            self.check(entry.request)  # again: meanwhile the model may have turned out not to be served
            if problem := self.store.room(self.flow.width.width):
                raise NoRoomError(problem)
            return self._post(entry, purchase)

    def _post(self, entry: PlannedPrompt, purchase: Purchase) -> Pictures:
        request, limits = entry.request, replace(self.limits, price=entry.request.price)
        key = self._idempotency_key(request)
        service = self.settings.service_identity
        try:
            # Not again where it may be recorded: a second record would count as a second request.
            post = retry_if_cut_off(lambda: self.ledger.send(purchase, self.run_id, request.pictures, limits, service))
        except RepeatsUsedUp as error:
            self.ledger.ended(purchase, PurchaseState.FAILED, ErrorClass.AMBIGUOUS, "", str(error))
            raise FailedBeforeError(Failure(ErrorClass.AMBIGUOUS, "", str(error), final=True)) from error
        try:
            answer = self.client.submit(request, key)
        except DuomiError as error:
            self._not_answered(entry, purchase, post, error)
            raise
        self.flow.width.answered()
        if isinstance(answer, Task):
            task = answer
            self.write(entry, purchase, task, lambda: self.ledger.accepted(purchase, post, task.id))
            return self._wait(entry, replace(purchase, task_id=task.id, state=PurchaseState.PLANNED))
        self._note(entry, purchase, post, answer)
        return answer

    def _not_answered(self, entry: PlannedPrompt, purchase: Purchase, post: int, error: DuomiError) -> None:
        """Record what a POST without pictures cost, before the error is handled."""
        if isinstance(error, NotSent):
            retry_ledger_write(lambda: self.ledger.not_sent(purchase, post))
        elif error.billed is Billed.NO:
            retry_ledger_write(lambda: self.ledger.not_taken(purchase, post))
        else:
            if error.body:
                self.keeper.keep_answer(entry, purchase, error.message, error.body)
            retry_ledger_write(lambda: self.ledger.answer_lost(purchase, post, error.error_class, error.message))

    def _idempotency_key(self, request: ImageRequest) -> str:
        """The request's key and a counter; it stays the same until an answer came, so that the service repeats it."""
        if not self.settings.idempotency_header:
            return ""
        return f"{request.key}-{self.ledger.answered_posts(request.key)}"
