"""Buying one request: claim, send, wait, download, save. Each step is in the ledger before it happens.

What to do about an error (try again, fail the prompt, stop the run) is `batch`'s.
"""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from duomi_pipeline.duomi import DuomiClient, ImageRequest
from duomi_pipeline.duomi.answers import Image, Pictures, Task, Waiting
from duomi_pipeline.duomi.errors import (
    Ambiguous,
    BadImage,
    ConfigurationError,
    DuomiError,
    NotDownloaded,
    RateLimited,
    ServiceBusy,
    TaskTimedOut,
)
from duomi_pipeline.engine.fallback import Fallbacks, fallback_fingerprint
from duomi_pipeline.engine.fetch import Fetcher
from duomi_pipeline.engine.insist import insist
from duomi_pipeline.engine.job import Job
from duomi_pipeline.engine.outcome import Failure, Outcome
from duomi_pipeline.engine.pace import Pace
from duomi_pipeline.engine.plan import PlannedPrompt, whole_set
from duomi_pipeline.engine.saving import Saver
from duomi_pipeline.engine.throttle import Throttle
from duomi_pipeline.images import StoreError
from duomi_pipeline.ledger import Ledger, Limits, PictureFile, Purchase, Selection
from duomi_pipeline.settings import Settings

MAX_POLL_INTERVAL = 30.0  # seconds
MOST_PICTURES = 16  # of one answer: four can be asked for, and a service gone wild must not fill the disk
LATE_POLLS = 3  # looks at a task that timed out in an earlier run, before its request may be bought again


class StoppedError(Exception):
    """The run was stopped before this request was sent: nothing happened."""


@dataclass(frozen=True)
class Buyer:
    """Buys requests for one run; called from many threads."""

    settings: Settings
    client: DuomiClient
    ledger: Ledger
    saver: Saver
    fetcher: Fetcher
    limits: Limits
    fallbacks: Fallbacks
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
        first, *others = job.entries
        if first.reusable and not job.anew and not first.resumes:
            return [self._reuse(job, entry, entry.reusable) for entry in job.entries]
        if not first.resumes:
            self._check(job.request)
        purchase = self._claim(job)
        if purchase.state == "saved":  # another run was faster
            return [self._reuse(job, entry, self._files_on_disk(job, entry)) for entry in job.entries]
        found = self._found(first, purchase)
        if found and len(found) >= len(purchase.image_urls):
            bought, seed, thumbnail = self._record(first, purchase, found), purchase.seed, None
        else:
            bought, seed, thumbnail = self._buy(first, purchase, found)
        outcome = self._outcome(job, first, bought, seed, thumbnail)
        generated = replace(outcome, status="generated", attempts=job.attempts + 1, cost=job.request.cost)
        return [generated, *(self._copy(job, entry, bought.files) for entry in others)]

    def _check(self, request: ImageRequest) -> None:
        """Raise what is known to be wrong with a request, before one is sent to hear it."""
        if request.problem:
            raise ConfigurationError(request.problem)
        self.fallbacks.check(request)

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

    def _found(self, entry: PlannedPrompt, purchase: Purchase) -> dict[int, PictureFile]:
        """Files that a run saved and died before it could record them, by position."""
        if purchase.state not in ("ambiguous", "ready"):
            return {}
        return self.saver.found(entry.prompt, entry.request, purchase)

    def _record(self, entry: PlannedPrompt, purchase: Purchase, files: Mapping[int, PictureFile]) -> Selection:
        in_order = [files[position] for position in sorted(files)]
        return self._saver(entry, len(files)).record(entry.prompt, entry.request, purchase, in_order)

    def _saver(self, entry: PlannedPrompt, pictures: int) -> Saver:
        """The run's saver for one prompt's pictures, who together cost what their request was billed."""
        cost, fingerprint = entry.request.cost, self.saver.settings_fingerprint
        if entry.stands_in_for is not None:
            fingerprint = fallback_fingerprint(fingerprint, entry.request.model)
        price = None if cost is None else cost / pictures
        return replace(self.saver, settings_fingerprint=fingerprint, price=price)

    def _buy(
        self, entry: PlannedPrompt, purchase: Purchase, found: Mapping[int, PictureFile]
    ) -> tuple[Selection, int | None, bytes | None]:
        """What was bought, the seed that the service reported, and a thumbnail.

        Fewer or more pictures than were asked for are taken as they come. One that is broken is left out; one whose
        address does not answer is left to the next run as long as it may live, and the others wait for it on disk.
        """
        request = entry.request
        if purchase.state == "submitted":
            pictures = self._wait(request, purchase)
        elif purchase.state == "ready" and purchase.image_urls:
            pictures = Pictures(tuple(Image(url=url) for url in purchase.image_urls), purchase.seed, purchase.task_id)
        else:
            pictures = self._send(request, purchase)
        pictures = replace(pictures, images=pictures.images[:MOST_PICTURES])
        pngs, missing = self.fetcher.fetch(request, purchase.id, pictures, found)
        if missing and not (pngs or found):
            raise missing
        task_id = pictures.task_id or purchase.task_id
        bought = replace(purchase, state="ready", seed=pictures.seed, task_id=task_id, run_id=self.run_id)
        count = max([len(pictures.images), *(position + 1 for position in (*found, *pngs))])
        files = {**found, **self._saver(entry, count).write(entry.prompt, request, bought, pngs, count, "generated")}
        if isinstance(missing, NotDownloaded) and self.fetcher.address_lives(purchase.id):
            raise missing
        return self._record(entry, bought, files), pictures.seed, pngs[0].thumbnail if 0 in pngs else None

    def _send(self, request: ImageRequest, purchase: Purchase) -> Pictures:
        """POST the request, under all limits; an accepted task is waited for."""
        if not purchase.is_new and self.ledger.lost_answers(purchase.id) > self.settings.ambiguous_retries:
            raise Ambiguous("no answer came, as often as may be tried; each try may have been billed")
        with self.throttle.slot() as may_send:
            if not may_send or not self.pace.wait_turn():
                raise StoppedError
            self._check(request)  # again: while it waited, the service may have said that it does not serve the model
            return self._post(request, purchase)

    def _post(self, request: ImageRequest, purchase: Purchase) -> Pictures:
        limits = replace(self.limits, price=request.price)
        post = self.ledger.send(purchase, self.run_id, request.pictures, limits)
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
        self.fetcher.note(purchase, post, answer)
        return answer

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
                self.fetcher.note(purchase, None, found)
                return replace(found, task_id=task_id)
            if time.time() >= deadline and (not late or polls >= LATE_POLLS or failed_polls >= 3 * LATE_POLLS):
                given_up = late and polls >= LATE_POLLS
                raise TaskTimedOut(f"task {task_id} is not done after {self.settings.task_timeout:g} s", late=given_up)

    def _files_on_disk(self, job: Job, entry: PlannedPrompt) -> tuple[PictureFile, ...]:
        files = self.ledger.saved_files_of(job.request.key)
        return whole_set(files, self.saver.store.sizes(), entry.prompt.id)

    def _reuse(self, job: Job, entry: PlannedPrompt, files: Sequence[PictureFile]) -> Outcome:
        """Let a prompt have pictures that are paid: its own files, or copies of another prompt's."""
        purchase = self.ledger.purchase(files[0].purchase_id)
        saver = self._saver(entry, len(files))
        if files[0].prompt_id == entry.prompt.id:
            return self._outcome(job, entry, saver.select(entry.prompt, entry.request, files), purchase.seed)
        return self._outcome(job, entry, saver.copy(entry.prompt, entry.request, purchase, files), purchase.seed)

    def _outcome(
        self,
        job: Job,
        entry: PlannedPrompt,
        selection: Selection,
        seed: int | None,
        thumbnail: bytes | None = None,
    ) -> Outcome:
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
