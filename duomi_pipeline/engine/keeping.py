"""Kept answers in a run: keep what was paid and has no picture or no ledger entry, and try it again before buying.

The files themselves are in `kept_answers`.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from pydantic import ConfigDict, TypeAdapter

from duomi_pipeline.duomi import DuomiError, ImageRequest
from duomi_pipeline.duomi.answers import Pictures, Task
from duomi_pipeline.duomi.client import DuomiClient
from duomi_pipeline.duomi.pictures import Image
from duomi_pipeline.engine.alarm import Alarm
from duomi_pipeline.engine.download import Fetcher
from duomi_pipeline.engine.kept_answers import About, KeptAnswer, KeptAnswers, KeptFullError, Kind
from duomi_pipeline.engine.ledger_retry import retry_ledger_write
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.images import StoreError
from duomi_pipeline.ledger import Ledger, LedgerError, Purchase, PurchaseState
from duomi_pipeline.settings import Settings

SOON = 0.5  # seconds; an answer that the ledger has not recorded by then is kept as a file
_UNRECORDED = TypeAdapter[Pictures | Task](
    Pictures | Task, config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
)


@dataclass(frozen=True)
class Recovery:
    """The kept answers of a request, and what can be used of them without a new POST.

    Attributes:
        kept: all kept answers.
        pictures: the paid pictures in them, if they can be read by now.
        unrecorded: an answer that the ledger does not know yet.
    """

    kept: Sequence[KeptAnswer] = ()
    pictures: Pictures | None = None
    unrecorded: Pictures | Task | None = None

    @property
    def is_usable(self) -> bool:
        """Whether a picture may come from it without a POST."""
        return self.pictures is not None or self.unrecorded is not None


@dataclass(frozen=True)
class Keeper:
    """Keeps and rereads the answers of one run; called from many threads."""

    settings: Settings
    answers: KeptAnswers
    client: DuomiClient
    fetcher: Fetcher
    ledger: Ledger
    alarm: Alarm = field(default_factory=lambda: Alarm(SOON))

    def recover(self, request: ImageRequest) -> Recovery:
        """Read the kept answers of a request."""
        kept = self.answers.of(request.key)
        for one in reversed(kept):
            with suppress(OSError, ValueError):
                if one.kind == "unrecorded":
                    answer = _UNRECORDED.validate_json(self.answers.data(one))
                    if isinstance(answer, Pictures) and not all(image.url for image in answer.images):
                        return Recovery(kept, answer, answer)
                    return Recovery(kept, None, answer)
        return Recovery(kept, self._reread(request, kept))

    def read_back(self, purchase: Purchase, recovery: Recovery) -> Purchase:
        """Record a kept answer in the ledger that it does not know. Returns the purchase with its new state."""
        answer = recovery.unrecorded
        if answer is None:
            return purchase
        unrecorded = [one for one in recovery.kept if one.kind == "unrecorded"]
        if isinstance(answer, Task):
            purchase = self.ledger.read_back(purchase, unrecorded[-1].paid, answer.id)
        else:
            urls = [image.url for image in answer.images if image.url] if recovery.pictures is None else []
            purchase = self.ledger.read_back(purchase, unrecorded[-1].paid, answer.task_id, urls, answer.seed)
        if recovery.pictures is None:  # else the kept answer is still the only copy of the pictures
            self.answers.drop(unrecorded)
        return purchase

    def _reread(self, request: ImageRequest, kept: Sequence[KeptAnswer]) -> Pictures | None:
        images: dict[int, Image] = {}
        for one in kept:
            with suppress(OSError, DuomiError):
                data = self.answers.data(one)
                if one.kind == "picture":
                    image = Image(data=data)
                    self.fetcher.png(image, request)
                    images.setdefault(one.position, image)
                    continue
                answer = self.client.reread(request, data.decode("utf-8", "replace"))
                if isinstance(answer, Pictures) and all(image.data for image in answer.images):
                    return answer
        if not images:
            return None
        first = next(one for one in kept if one.kind == "picture")
        return Pictures(tuple(images[position] for position in sorted(images)), first.seed, first.task_id)

    def mark_recovered(self, purchase: Purchase, kept: Sequence[KeptAnswer]) -> None:
        """Record the cost of kept answers whose pictures are saved now, and delete their files."""
        for one in {one.purchase_id: one for one in kept}.values():
            self.ledger.billed(purchase, one.paid)
        self.answers.drop(kept)

    def write(
        self, write: Callable[[], None], entry: PlannedPrompt, purchase: Purchase, answer: Pictures | Task
    ) -> None:
        """Record an answer in the ledger, with retries; keep it as a file until that succeeds.

        Raises:
            LedgerError: it could not be recorded; the run stops.
        """
        late = threading.Event()

        def keep() -> None:
            late.set()
            self._keep_unrecorded(entry, purchase, answer, "the ledger has not taken it yet")

        with self.alarm.after(keep):
            retry_ledger_write(write)
        if late.is_set():
            with suppress(OSError):  # what stays is read back, and found to be known
                self.answers.drop(self._unrecorded(purchase))

    @contextmanager
    def holding(self, entry: PlannedPrompt, purchase: Purchase, answer: Pictures | Task) -> Iterator[None]:
        """Keep a paid answer as a file if the ledger fails inside the block.

        Raises:
            LedgerError: the ledger failed.
        """
        try:
            yield
        except LedgerError as error:
            self._keep_unrecorded(entry, purchase, answer, str(error))
            raise

    def _unrecorded(self, purchase: Purchase) -> list[KeptAnswer]:
        kept = self.answers.of(purchase.request_key)
        return [one for one in kept if one.kind == "unrecorded" and one.purchase_id == purchase.id]

    def _keep_unrecorded(self, entry: PlannedPrompt, purchase: Purchase, answer: Pictures | Task, reason: str) -> None:
        """Keep an answer; it replaces an earlier kept one of the same purchase."""
        before = self._unrecorded(purchase)
        with suppress(StoreError, OSError):  # no space left: the error of the ledger is reported
            self._keep(_UNRECORDED.dump_json(self._masked(answer)), self._about(entry, purchase, "unrecorded", reason))
            self.answers.drop(before)

    def _masked(self, answer: Pictures | Task) -> Pictures | Task:
        """The answer without the key, which addresses may repeat."""
        if isinstance(answer, Task):
            return answer
        images = (replace(one, url=self.client.masked(one.url)) if one.url else one for one in answer.images)
        return replace(answer, images=tuple(images))

    def keep_answer(self, entry: PlannedPrompt, purchase: Purchase, reason: str, body: bytes) -> None:
        """Keep an answer that could not be read.

        Raises:
            StoreError: it cannot be kept.
        """
        self._keep(body, self._about(entry, purchase, "answer", reason))

    def keep_pictures(
        self,
        entry: PlannedPrompt,
        purchase: Purchase,
        pictures: Pictures,
        reason: str,
        *,
        good: Collection[int] = (),
        downloaded: bytes = b"",
        at: int = 0,
    ) -> None:
        """Keep the bytes inside an answer, or the downloaded bytes.

        Args:
            entry: a prompt that wants the pictures.
            purchase: the purchase that paid for them.
            pictures: the answer.
            reason: why they were not saved as pictures.
            good: positions of whole pictures, which are saved and need not be kept.
            downloaded: bytes of a broken download.
            at: position of the downloaded picture.

        Raises:
            StoreError: they cannot be kept.
        """
        inside = {position: image.data or image.raw for position, image in enumerate(pictures.images)}
        if downloaded:
            inside[at] = downloaded
        for position, data in inside.items():
            if data and position not in good:
                about = self._about(entry, purchase, "picture", reason, position, pictures)
                self._keep(data, about)

    def record_kept(self, purchase: Purchase) -> None:
        """Record in the ledger that pictures which came inside an answer are kept here: other machines see it as paid.

        A ledger that fails too does not know it; the next run here tells it.
        """
        kept = [one for one in self.answers.of(purchase.request_key) if one.kind == "picture"]
        if kept:
            with suppress(LedgerError):
                self.ledger.read_back(purchase, kept[-1].paid, seed=kept[-1].seed)

    def _keep(self, data: bytes, about: About) -> None:
        try:
            self.answers.keep(data, about)
        except (KeptFullError, OSError) as error:
            raise StoreError(f"{about.reason}; and what came could not be kept: {error}") from error

    def _about(
        self,
        entry: PlannedPrompt,
        purchase: Purchase,
        kind: Kind,
        reason: str,
        position: int = 0,
        pictures: Pictures | None = None,
    ) -> About:
        resumed = purchase.state in (
            PurchaseState.SUBMITTED,
            PurchaseState.READY,
        )  # else it was claimed just before its POST
        return About(
            request_key=purchase.request_key,
            prompt_id=entry.prompt.id,
            purchase_id=purchase.id,
            kind=kind,
            reason=reason,
            position=position,
            seed=pictures.seed if pictures else None,
            task_id=pictures.task_id if pictures else None,
            sent_at=purchase.created_at if resumed else purchase.updated_at,
            pictures=entry.request.pictures,
            price=entry.request.cost,
            currency=self.settings.currency,
            service=purchase.service if resumed else self.settings.service_identity,
        )
