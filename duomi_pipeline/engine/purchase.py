"""Buy one request: claim it, get its pictures, save them. Each step is recorded in the ledger before it happens.

Claiming is in `claiming`, what passes between this program and the service in `sending` and `download`. Deciding what
an error means (retry, fail the prompt, stop the run) is in `verdict`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from duomi_pipeline.duomi import ErrorClass
from duomi_pipeline.duomi.answers import Pictures
from duomi_pipeline.duomi.errors import NotDownloaded
from duomi_pipeline.engine.claiming import Claimer
from duomi_pipeline.engine.download import Fetcher
from duomi_pipeline.engine.fallback import fallback_fingerprint
from duomi_pipeline.engine.job import Job
from duomi_pipeline.engine.keeping import Keeper, Recovery
from duomi_pipeline.engine.kept_answers import KeptAnswer
from duomi_pipeline.engine.ledger_retry import retry_ledger_write
from duomi_pipeline.engine.not_sent import FailedBeforeError
from duomi_pipeline.engine.outcome import Failure, Outcome, Status
from duomi_pipeline.engine.plan import PlannedPrompt, whole_set
from duomi_pipeline.engine.reuse import outcome_of
from duomi_pipeline.engine.save import Saver
from duomi_pipeline.engine.sending import Sender
from duomi_pipeline.engine.tasks import Tasks
from duomi_pipeline.images import PictureLostError, StoreError
from duomi_pipeline.ledger import Ledger, Origin, PictureFile, Purchase, PurchaseState, Selection
from duomi_pipeline.settings import Settings

MOST_PICTURES = 16  # of one answer: four can be requested, and a misbehaving service must not fill the disk


@dataclass(frozen=True)
class Buyer:
    """Buys requests for one run; called from many threads."""

    settings: Settings
    ledger: Ledger
    claimer: Claimer
    sender: Sender
    fetcher: Fetcher
    saver: Saver
    tasks: Tasks
    keeper: Keeper
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
            self.sender.check(job.request)
        was_saved = first.purchase is not None and first.purchase.state == PurchaseState.SAVED
        # The plan did not find its files; another run may have saved them after the plan had looked.
        if was_saved and not job.forced and self._files_on_disk(job, first):
            return [self._reuse(job, entry, self._files_on_disk(job, entry)) for entry in job.entries]
        if job.kept_only and not (recovery := self.keeper.recover(job.request)).is_usable:
            raise FailedBeforeError(job.planned_failure or _nothing_usable(recovery.kept))
        purchase = self.claimer.claim(job)
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
                purchase = self.claimer.start_over_here(job, purchase)
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

    def _copy(self, job: Job, entry: PlannedPrompt, files: Sequence[PictureFile], thumbnail: bytes | None) -> Outcome:
        """Copy the pictures for one more prompt; if that fails, only this prompt fails."""
        try:
            return replace(self._reuse(job, entry, files), thumbnail=thumbnail)
        except StoreError as error:
            failure = Failure(ErrorClass.STORE, "", str(error), final=False)
            return Outcome(entry.prompt, entry.request, Status.FAILED, failure=failure)

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
        pictures = kept if kept is not None else self.sender.pictures(entry, purchase)
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
        record = partial(self.sender.write, entry, purchase, pictures)
        return self._record(entry, bought, files, record), pictures.seed, pngs[0].thumbnail if 0 in pngs else None

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
