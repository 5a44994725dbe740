"""Buy one request: claim, send, poll, download, save. Each step is recorded in the ledger before it happens.

Deciding what an error means (retry, fail the prompt, stop the run) is in `verdict`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from duomi_pipeline.duomi import ErrorClass, ImageRequest
from duomi_pipeline.duomi.answers import Pictures, Task
from duomi_pipeline.duomi.client import DuomiClient
from duomi_pipeline.duomi.errors import (
    ConfigurationError,
    DuomiError,
    KeptElsewhere,
    NotDownloaded,
    NotSent,
    TaskElsewhere,
)
from duomi_pipeline.duomi.pictures import Image
from duomi_pipeline.duomi.reactions import Billed
from duomi_pipeline.engine.download import Fetcher
from duomi_pipeline.engine.fallback import Fallbacks, fallback_fingerprint
from duomi_pipeline.engine.flow_control import FlowControl
from duomi_pipeline.engine.job import Job, failure_of
from duomi_pipeline.engine.keeping import Keeper, Recovery
from duomi_pipeline.engine.kept_answers import KeptAnswer
from duomi_pipeline.engine.ledger_retry import retry_if_cut_off, retry_ledger_write
from duomi_pipeline.engine.outcome import Failure, Outcome, Status
from duomi_pipeline.engine.plan import PlannedPrompt, whole_set
from duomi_pipeline.engine.reuse import outcome_of
from duomi_pipeline.engine.save import Saver
from duomi_pipeline.engine.tasks import Tasks, where
from duomi_pipeline.images import PictureLostError, StoreError
from duomi_pipeline.ledger import Ledger, Limits, Origin, PictureFile, Purchase, PurchaseState, RepeatsUsedUp, Selection
from duomi_pipeline.settings import Settings

MOST_PICTURES = 16  # of one answer: four can be requested, and a misbehaving service must not fill the disk


class StoppedError(Exception):
    """The run was stopped before this request was sent: nothing happened."""


class NoRoomError(Exception):
    """The disk has no space for the picture: nothing was sent."""


class FailedBeforeError(Exception):
    """The request failed in an earlier or another run, and was not chosen for a retry: nothing was sent."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


@dataclass(frozen=True)
class Buyer:
    """Buys requests for one run; called from many threads."""

    settings: Settings
    client: DuomiClient
    ledger: Ledger
    saver: Saver
    fetcher: Fetcher
    tasks: Tasks
    keeper: Keeper
    limits: Limits
    fallbacks: Fallbacks
    flow: FlowControl
    run_id: str

    def fulfil(self, job: Job) -> list[Outcome]:
        """Get the pictures of one request for every prompt that wants them: reuse, resume or buy.

        Raises:
            StoppedError: the run was stopped before this request was sent.
            FailedBeforeError: it must not be sent again.
            NoRoomError: the disk is full; nothing was sent.
            Held, NotYet, LimitReached: the ledger does not allow it now.
            DuomiError: an API error; the ledger has the step that was reached.
            StoreError: the pictures cannot be written; the purchase stays recorded.
        """
        job.started_at = job.started_at or time.monotonic()
        first, *others = job.entries
        if first.reusable and not job.forced and not first.resumes:
            return [self._reuse(job, entry, entry.reusable) for entry in job.entries]
        if not first.resumes:
            self._check(job.request)
        was_saved = first.purchase is not None and first.purchase.state == PurchaseState.SAVED
        # The plan did not find its files; another run may have saved them after the plan had looked.
        if was_saved and not job.forced and self._files_on_disk(job, first):
            return [self._reuse(job, entry, self._files_on_disk(job, entry)) for entry in job.entries]
        if job.kept_only and not (recovery := self.keeper.recover(job.request)).is_usable:
            raise FailedBeforeError(job.planned_failure or _nothing_usable(recovery.kept))
        purchase = self._claim(job)
        if purchase.state == PurchaseState.SAVED:  # another run was faster
            return [self._reuse(job, entry, self._files_on_disk(job, entry)) for entry in job.entries]
        recovery = Recovery() if job.forced else self.keeper.recover(job.request)  # by whichever run it was kept
        purchase = self.keeper.read_back(purchase, recovery)
        found = self._found(first, purchase)
        if found and len(found) >= max(
            len(purchase.image_urls), len(recovery.pictures.images) if recovery.pictures else 0
        ):
            bought, seed, thumbnail = self._record(first, purchase, found), purchase.seed, None
        else:
            if (
                purchase.state == PurchaseState.AMBIGUOUS
                and recovery.pictures is None
                and self.tasks.are_elsewhere(purchase)
            ):
                purchase = self._start_over_here(job, purchase)
            bought, seed, thumbnail = self._buy(first, purchase, found, recovery.pictures)
        if recovery.pictures is not None:
            self.keeper.mark_recovered(purchase, recovery.kept)
        generated = replace(
            outcome_of(job, first, bought, seed),
            status=Status.GENERATED,
            attempts=job.attempts + 1,
            cost=job.request.cost,
            thumbnail=thumbnail,
        )
        return [generated, *(self._copy(job, entry, bought.files, thumbnail) for entry in others)]

    def _check(self, request: ImageRequest) -> None:
        """Raise a known error of a request instead of sending it."""
        if request.problem:
            raise ConfigurationError(str(request.problem))
        self.fallbacks.check(request)

    def _copy(self, job: Job, entry: PlannedPrompt, files: Sequence[PictureFile], thumbnail: bytes | None) -> Outcome:
        """Copy the pictures for one more prompt; if that fails, only this prompt fails."""
        try:
            return replace(self._reuse(job, entry, files), thumbnail=thumbnail)
        except StoreError as error:
            failure = Failure(ErrorClass.STORE, "", str(error), final=False)
            return Outcome(entry.prompt, entry.request, Status.FAILED, failure=failure)

    def _claim(self, job: Job) -> Purchase:
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

    def _start_over_here(self, job: Job, purchase: Purchase) -> Purchase:
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

    def _found(self, entry: PlannedPrompt, purchase: Purchase) -> dict[int, PictureFile]:
        """Files that an interrupted run saved but did not record, by position."""
        if purchase.state not in (PurchaseState.AMBIGUOUS, PurchaseState.READY):
            return {}
        return self.saver.found(entry.prompt, entry.request, purchase)

    def _record(
        self,
        entry: PlannedPrompt,
        purchase: Purchase,
        files: Mapping[int, PictureFile],
        write: Callable[[Callable[[], None]], None] = retry_ledger_write,
    ) -> Selection:
        in_order = [files[position] for position in sorted(files)]
        return self.saver_of(entry, len(files)).record(entry.prompt, entry.request, purchase, in_order, write)

    def saver_of(self, entry: PlannedPrompt, pictures: int) -> Saver:
        """A saver for one prompt's pictures, with the price of each: together they cost what the request cost."""
        cost, fingerprint = entry.request.cost, self.saver.settings_fingerprint
        if entry.stands_in_for is not None:
            fingerprint = fallback_fingerprint(fingerprint, entry.request.model)
        price = None if cost is None else cost / pictures
        return replace(self.saver, settings_fingerprint=fingerprint, price=price)

    def _buy(
        self, entry: PlannedPrompt, purchase: Purchase, found: Mapping[int, PictureFile], kept: Pictures | None
    ) -> tuple[Selection, int | None, bytes | None]:
        """Buy or resume; returns the selection, the seed that the service reported, and a thumbnail.

        The service may deliver fewer or more pictures than requested; all are saved. A broken picture is left out. If
        one cannot be downloaded yet, the next run does it, and the others stay on disk until then.
        """
        if kept is not None:
            pictures = kept
        elif purchase.state == PurchaseState.SUBMITTED:
            pictures = self._wait(entry, purchase)
        elif purchase.state == PurchaseState.READY:
            pictures = self._recorded_pictures(purchase)
        else:
            pictures = self._send(entry, purchase)
        pictures = replace(pictures, images=pictures.images[:MOST_PICTURES])
        with self.keeper.holding(entry, purchase, pictures):
            return self._save(entry, purchase, found, pictures, is_kept=kept is not None)

    def _save(
        self,
        entry: PlannedPrompt,
        purchase: Purchase,
        found: Mapping[int, PictureFile],
        pictures: Pictures,
        *,
        is_kept: bool,
    ) -> tuple[Selection, int | None, bytes | None]:
        """Download, save and record the pictures of an answer; returns the same as `_buy`."""
        request = entry.request
        pngs, missing = self.fetcher.fetch(request, purchase, pictures, found)
        if missing and missing.error_class is ErrorClass.BAD_IMAGE and not is_kept:
            self.keeper.keep_pictures(
                entry,
                purchase,
                pictures,
                missing.message,
                good=pngs,
                downloaded=missing.data,
                at=missing.position,
            )
        if missing and not (pngs or found):
            raise missing
        task_id = pictures.task_id or purchase.task_id
        bought = replace(purchase, state=PurchaseState.READY, seed=pictures.seed, task_id=task_id, run_id=self.run_id)
        count = max([len(pictures.images), *(position + 1 for position in (*found, *pngs))])
        saver = self.saver_of(entry, count)
        try:
            files = {**found, **saver.write(entry.prompt, request, bought, pngs, count, Origin.GENERATED)}
        except StoreError as error:
            if not is_kept:
                self.keeper.keep_pictures(entry, purchase, pictures, str(error))
                self.keeper.record_kept(purchase)
            raise
        if isinstance(missing, NotDownloaded) and self.fetcher.address_lives(purchase.id):
            raise missing
        record = partial(self._write, entry, purchase, pictures)
        return self._record(entry, bought, files, record), pictures.seed, pngs[0].thumbnail if 0 in pngs else None

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
            self._write(entry, purchase, answer, lambda: self.ledger.answered(purchase, post, urls, answer.seed))

    def _write(
        self, entry: PlannedPrompt, purchase: Purchase, answer: Pictures | Task, write: Callable[[], None]
    ) -> None:
        with self.keeper.holding(entry, purchase, answer):
            self.keeper.write(write, entry, purchase, answer)

    def _send(self, entry: PlannedPrompt, purchase: Purchase) -> Pictures:
        """POST the request, under all limits; wait for an asynchronous task."""
        with self.flow.slot() as may_send:
            if not may_send:
                raise StoppedError
            self._check(entry.request)  # again: meanwhile the model may have turned out not to be served
            if problem := self.saver.store.room(self.flow.width.width):
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
            self._write(entry, purchase, task, lambda: self.ledger.accepted(purchase, post, task.id))
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

    def _files_on_disk(self, job: Job, entry: PlannedPrompt) -> tuple[PictureFile, ...]:
        """The saved files of a request that are there now.

        Raises:
            StoreError: nobody can tell.
        """
        files = self.ledger.saved_files_of(job.request.key)
        listing = self.saver.store.look(file.file for file in files)
        found = whole_set(files, listing, entry.prompt.id)
        if not found and (why := next(filter(None, (listing.why_unknown(file.file) for file in files)), "")):
            raise StoreError(why)
        return found

    def _reuse(self, job: Job, entry: PlannedPrompt, files: Sequence[PictureFile]) -> Outcome:
        """Give a prompt pictures that are paid already: its own files, or copies of another prompt's.

        Raises:
            StoreError: there are none any more, or they cannot be copied.
        """
        if not files:
            raise PictureLostError("another run saved its picture, but the file is gone already: start again")
        purchase = self.ledger.purchase(files[0].purchase_id)
        saver = self.saver_of(entry, len(files))
        if files[0].prompt_id == entry.prompt.id:
            selection = saver.select(entry.prompt, entry.request, files)
        else:
            selection = saver.copy(entry.prompt, entry.request, purchase, files)
        return outcome_of(job, entry, selection, purchase.seed)


def _nothing_usable(kept: Sequence[KeptAnswer]) -> Failure:
    reason = kept[-1].reason if kept else "nothing was sent"
    return Failure(ErrorClass.NOT_UNDERSTOOD, "", reason, final=True)
