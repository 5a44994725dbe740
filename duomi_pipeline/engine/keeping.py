"""Nothing paid is thrown away: what became no picture, or what the ledger does not take, is kept, and looked at again
before anything is bought.

Where it lies is `kept_answers`'s.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from pydantic import ConfigDict, TypeAdapter

from duomi_pipeline.duomi import DuomiClient, DuomiError, ImageRequest
from duomi_pipeline.duomi.answers import Pictures, Task
from duomi_pipeline.duomi.pictures import Image
from duomi_pipeline.engine.download import Fetcher
from duomi_pipeline.engine.kept_answers import About, KeptAnswer, KeptAnswers, KeptFullError, Kind
from duomi_pipeline.engine.ledger_retry import retry_ledger_write
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.images import StoreError
from duomi_pipeline.ledger import Ledger, LedgerError, Purchase
from duomi_pipeline.settings import Settings

SOON = 0.5  # seconds: what the ledger has not taken until then is kept, whatever it waits for
_UNRECORDED = TypeAdapter[Pictures | Task](
    Pictures | Task, config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
)


@dataclass(frozen=True)
class SecondLook:
    """What is kept of a request.

    Attributes:
        kept: all of it.
        pictures: in it, if they can be read by now: they are paid.
        unrecorded: the answer that the ledger does not know yet.
    """

    kept: Sequence[KeptAnswer] = ()
    pictures: Pictures | None = None
    unrecorded: Pictures | Task | None = None

    @property
    def is_of_use(self) -> bool:
        """Whether something in it may become a picture without a POST."""
        return self.pictures is not None or self.unrecorded is not None


@dataclass(frozen=True)
class Keeper:
    """Keeps and rereads the answers of one run; called from many threads."""

    settings: Settings
    answers: KeptAnswers
    client: DuomiClient
    fetcher: Fetcher
    ledger: Ledger

    def second_look(self, request: ImageRequest) -> SecondLook:
        """What is kept of a request, and what can be made of it by now."""
        kept = self.answers.of(request.key)
        for one in reversed(kept):
            with suppress(OSError, ValueError):
                if one.kind == "unrecorded":
                    answer = _UNRECORDED.validate_json(self.answers.data(one))
                    if isinstance(answer, Pictures) and not all(image.url for image in answer.images):
                        return SecondLook(kept, answer, answer)
                    return SecondLook(kept, None, answer)
        return SecondLook(kept, self._reread(request, kept))

    def read_back(self, purchase: Purchase, look: SecondLook) -> Purchase:
        """Tell the ledger what it does not know. Returns the purchase as it is then."""
        answer = look.unrecorded
        if answer is None:
            return purchase
        told = [one for one in look.kept if one.kind == "unrecorded"]
        if isinstance(answer, Task):
            purchase = self.ledger.read_back(purchase, told[-1].paid, answer.id)
        else:
            urls = [image.url for image in answer.images if image.url] if look.pictures is None else []
            purchase = self.ledger.read_back(purchase, told[-1].paid, answer.task_id, urls, answer.seed)
        if look.pictures is None:  # else they are in no file yet
            self.answers.drop(told)
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

    def became_pictures(self, purchase: Purchase, kept: Sequence[KeptAnswer]) -> None:
        """Their pictures are saved: what they cost is known now."""
        for one in {one.purchase_id: one for one in kept}.values():
            self.ledger.billed(purchase, one.paid)
        self.answers.drop(kept)

    def write(
        self, write: Callable[[], None], entry: PlannedPrompt, purchase: Purchase, answer: Pictures | Task
    ) -> None:
        """Write into the ledger what an answer was; as long as the ledger does not take it, it is kept.

        Raises:
            LedgerError: the ledger does not take it; the run stops.
        """
        late = threading.Event()

        def keep() -> None:
            late.set()
            self._keep_unrecorded(entry, purchase, answer, "the ledger has not taken it yet")

        soon = threading.Timer(SOON, keep)
        soon.daemon = True
        soon.start()
        try:
            retry_ledger_write(write)
        finally:
            soon.cancel()
            soon.join()
        if late.is_set():
            with suppress(OSError):  # what stays is read back, and found to be known
                self.answers.drop(self._unrecorded(purchase))

    @contextmanager
    def holding(self, entry: PlannedPrompt, purchase: Purchase, answer: Pictures | Task) -> Iterator[None]:
        """A block in which a paid answer is in hand: it is kept where the ledger fails.

        Raises:
            LedgerError: it does.
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
        """Keep what an answer says, in place of what an earlier one of the same purchase said."""
        before = self._unrecorded(purchase)
        with suppress(StoreError, OSError):  # nowhere is room: the ledger's own error says what is to be done
            self._keep(_UNRECORDED.dump_json(self._masked(answer)), self._about(entry, purchase, "unrecorded", reason))
            self.answers.drop(before)

    def _masked(self, answer: Pictures | Task) -> Pictures | Task:
        """The answer without the key, which addresses may repeat."""
        if isinstance(answer, Task):
            return answer
        images = (replace(one, url=self.client.masked(one.url)) if one.url else one for one in answer.images)
        return replace(answer, images=tuple(images))

    def keep_answer(self, entry: PlannedPrompt, purchase: Purchase, reason: str, body: bytes) -> None:
        """Keep a whole answer that is not understood.

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
        """Keep the bytes that came inside an answer, else those that were downloaded.

        Args:
            entry: a prompt that wants them.
            purchase: that paid them.
            pictures: the answer.
            reason: why they are no pictures in the folder.
            good: positions of those that are whole, and will be.
            downloaded: bytes that came from an address.
            at: position of these.

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
        resumed = purchase.state in ("submitted", "ready")  # else it was claimed just before its POST
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
