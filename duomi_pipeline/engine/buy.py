"""Buying one request: claim, send, wait, download, save. Each step is in the ledger before it happens.

What to do about an error (try again, fail the prompt, stop the run) is `batch`'s.
"""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from duomi_pipeline.duomi import DuomiClient, ImageRequest
from duomi_pipeline.duomi.answers import Image, Pictures, Task, Waiting
from duomi_pipeline.duomi.errors import (
    Ambiguous,
    BadImage,
    DuomiError,
    NotDownloaded,
    RateLimited,
    ServiceBusy,
    TaskTimedOut,
)
from duomi_pipeline.engine.insist import insist
from duomi_pipeline.engine.outcome import Failure, Outcome
from duomi_pipeline.engine.pace import Pace
from duomi_pipeline.engine.plan import PlannedPrompt, whole_set
from duomi_pipeline.engine.saving import Saver
from duomi_pipeline.engine.throttle import Throttle
from duomi_pipeline.images import NotAPictureError, Png, StoreError, to_png
from duomi_pipeline.ledger import Ledger, Limits, PictureFile, Purchase, Selection
from duomi_pipeline.settings import Settings

DOWNLOADS = 4  # tries at an address before its picture counts as bad
DOWNLOAD_WAIT = 0.5  # seconds before the second try, then doubling
MAX_POLL_INTERVAL = 30.0  # seconds
LATE_POLLS = 3  # looks at a task that timed out in an earlier run, before its request may be bought again


class StoppedError(Exception):
    """The run was stopped before this request was sent: nothing happened."""


@dataclass
class Job:
    """One request, and the prompts of the run that want it.

    Attributes:
        anew: buy it although a picture of it is there.
        attempts: tries so far.
        started_at: of the first try, in monotonic seconds.
        purchase: its chain, once claimed.
    """

    request: ImageRequest
    entries: list[PlannedPrompt]
    anew: bool = False
    attempts: int = 0
    started_at: float = 0.0
    purchase: Purchase | None = None


@dataclass(frozen=True)
class Buyer:
    """Buys requests for one run; called from many threads."""

    settings: Settings
    client: DuomiClient
    ledger: Ledger
    saver: Saver
    limits: Limits
    pace: Pace
    throttle: Throttle
    run_id: str
    stopped: threading.Event

    def fulfil(self, job: Job) -> list[Outcome]:
        """Bring one request to saved pictures for every prompt that wants it.

        Raises:
            StoppedError: the run was stopped before this request was sent.
            Held, NotYet, LimitReached: the ledger says not now.
            DuomiError: the API says no; the ledger holds how far it came.
            StoreError: the pictures cannot be written; what is paid stays recorded.
        """
        job.started_at = job.started_at or time.monotonic()
        if job.entries[0].reusable and not job.anew and not job.entries[0].resumes:
            return [self._reuse(job, entry, entry.reusable) for entry in job.entries]
        purchase = self._claim(job)
        first, *others = job.entries
        if purchase.state == "saved":  # another run was faster
            return [self._reuse(job, entry, self._files_on_disk(job, entry)) for entry in job.entries]
        adopted = self._adopt(first, purchase)
        bought, thumbnail = (adopted, None) if adopted else self._buy(first, purchase)
        cost = None if self.limits.price is None else self.limits.price * len(bought.files)
        outcome = self._outcome(job, first, bought, thumbnail)
        generated = replace(outcome, status="generated", attempts=job.attempts + 1, cost=cost)
        return [generated, *(self._copy(job, entry, bought.files) for entry in others)]

    def _copy(self, job: Job, entry: PlannedPrompt, files: Sequence[PictureFile]) -> Outcome:
        """One more prompt's own files; if they cannot be written, that is no matter to those that are."""
        try:
            return self._reuse(job, entry, files)
        except StoreError as error:
            failure = Failure("store", "", str(error), final=False)
            return Outcome(entry.prompt, entry.request, "failed", failure=failure)

    def _claim(self, job: Job) -> Purchase:
        if self.stopped.is_set():
            raise StoppedError
        planned = job.entries[0].purchase
        replaces = planned.id if planned and planned.state in ("saved", "failed") else None
        purchase = self.ledger.claim(job.request.key, job.request.canonical, self.run_id, replaces)
        job.purchase = purchase
        if purchase.state == "failed":  # another run used its repeats up while this one waited
            raise Ambiguous(purchase.error_message or "no answer came")
        return purchase

    def _adopt(self, entry: PlannedPrompt, purchase: Purchase) -> Selection | None:
        """Files that a run saved and died before it could record them."""
        if purchase.state not in ("ambiguous", "ready"):
            return None
        return self.saver.adopt(entry.prompt, entry.request, purchase)

    def _buy(self, entry: PlannedPrompt, purchase: Purchase) -> tuple[Selection, bytes | None]:
        request = entry.request
        if purchase.state == "submitted":
            pictures = self._wait(request, purchase)
        elif purchase.state == "ready" and purchase.image_urls:
            pictures = Pictures(tuple(Image(url=url) for url in purchase.image_urls), purchase.seed)
        else:
            pictures = self._send(request, purchase)
        pngs = self._pngs(request, purchase.id, pictures)
        bought = replace(self.ledger.purchase(purchase.id), seed=pictures.seed, run_id=self.run_id)
        return self.saver.save(entry.prompt, request, bought, pngs, "generated"), pngs[0].thumbnail

    def _send(self, request: ImageRequest, purchase: Purchase) -> Pictures:
        """POST the request, under all limits; an accepted task is waited for."""
        if self.ledger.lost_answers(purchase.id) > self.settings.ambiguous_retries:
            raise Ambiguous("no answer came, as often as may be tried; each try may have been billed")
        with self.throttle.slot() as may_send:
            if not may_send or not self.pace.wait_turn():
                raise StoppedError
            return self._post(request, purchase)

    def _post(self, request: ImageRequest, purchase: Purchase) -> Pictures:
        post = self.ledger.send(purchase, self.run_id, request.pictures, self.limits)
        try:
            answer = self.client.submit(request)
        except Ambiguous as error:
            lost = error.message
            insist(lambda: self.ledger.answer_lost(purchase, post, lost))
            raise
        except BadImage:
            self.ledger.answered(purchase, post, (), None)  # an answer, so billed, but its bytes are broken
            raise
        except DuomiError:
            insist(lambda: self.ledger.not_sent(purchase, post))
            raise
        self.throttle.answered()
        if isinstance(answer, Task):
            insist(lambda: self.ledger.accepted(purchase, post, answer.id))
            return self._wait(request, replace(purchase, task_id=answer.id, state="planned"))
        self._note(purchase, post, answer)
        return answer

    def _note(self, purchase: Purchase, post: int | None, answer: Pictures) -> None:
        """Write where the pictures are. Bytes without an address go straight to the folder: a file says whose it is."""
        urls = [image.url for image in answer.images if image.url]
        if len(urls) == len(answer.images):
            insist(lambda: self.ledger.answered(purchase, post, urls, answer.seed))

    def _wait(self, request: ImageRequest, purchase: Purchase) -> Pictures:
        """Poll a task until it has pictures. Only the service's word or the total time-out ends it."""
        task_id, resumed = purchase.task_id or "", purchase.state == "submitted"
        deadline = self.ledger.sent_at(purchase.id) + self.settings.task_timeout
        late = resumed and time.time() >= deadline
        interval, polls, failed_polls = self.settings.poll_interval, 0, 0
        while True:
            if polls or failed_polls or not resumed:
                time.sleep(interval * random.uniform(0.8, 1.2))  # noqa: S311 - jitter is no secret
                interval = min(interval * 1.3, MAX_POLL_INTERVAL)
            try:
                found: Pictures | Waiting = self.client.poll(request, task_id)
                polls += 1
            except (ServiceBusy, RateLimited):
                found = Waiting()
                failed_polls += 1  # says nothing about the task
            if isinstance(found, Pictures):
                self._note(purchase, None, found)
                return found
            if time.time() >= deadline and (not late or polls >= LATE_POLLS or failed_polls >= 3 * LATE_POLLS):
                given_up = late and polls >= LATE_POLLS
                raise TaskTimedOut(f"task {task_id} is not done after {self.settings.task_timeout:g} s", late=given_up)

    def _pngs(self, request: ImageRequest, purchase_id: int, pictures: Pictures) -> list[Png]:
        """Whole pictures of the delivery size; a task whose addresses died is asked, free of charge, for fresh ones."""
        try:
            return [self._png(image, request) for image in pictures.images]
        except NotDownloaded:
            purchase = self.ledger.purchase(purchase_id)
            renewed = self.client.poll(request, purchase.task_id) if purchase.task_id else Waiting()
            if not isinstance(renewed, Pictures):
                raise
            self._note(purchase, None, renewed)
            return [self._png(image, request) for image in renewed.images]

    def _png(self, image: Image, request: ImageRequest) -> Png:
        """A whole picture of the delivery size: from the answer's bytes, else from its address, tried a few times."""
        if image.data is not None:
            try:
                return _checked(image.data, request)
            except BadImage:
                if image.url is None:
                    raise
        wait = DOWNLOAD_WAIT
        for _ in range(DOWNLOADS - 1):
            try:
                return _checked(self.client.download(image.url or ""), request)
            except BadImage:
                time.sleep(wait)
                wait *= 2
        return _checked(self.client.download(image.url or ""), request)

    def _files_on_disk(self, job: Job, entry: PlannedPrompt) -> tuple[PictureFile, ...]:
        files = self.ledger.saved_files_of(job.request.key)
        return whole_set(files, self.saver.store.sizes(), entry.prompt.id)

    def _reuse(self, job: Job, entry: PlannedPrompt, files: Sequence[PictureFile]) -> Outcome:
        """Let a prompt have pictures that are paid: its own files, or copies of another prompt's."""
        purchase = self.ledger.purchase(files[0].purchase_id)
        if files[0].prompt_id == entry.prompt.id:
            return self._outcome(job, entry, self.saver.select(entry.prompt, entry.request, files))
        return self._outcome(job, entry, self.saver.copy(entry.prompt, entry.request, purchase, files))

    def _outcome(self, job: Job, entry: PlannedPrompt, selection: Selection, thumbnail: bytes | None = None) -> Outcome:
        seed = self.ledger.purchase(selection.purchase_id).seed
        return Outcome(
            prompt=entry.prompt,
            request=entry.request,
            status="reused",
            files=selection.files,
            selection=selection,
            seed=entry.request.seed if seed is None else seed,
            latency=time.monotonic() - job.started_at,
            thumbnail=thumbnail or self.saver.thumbnail(selection.files[0]),
        )


def _checked(data: bytes, request: ImageRequest) -> Png:
    try:
        return to_png(data, request.delivery_size)
    except NotAPictureError as error:
        raise BadImage(str(error)) from error
