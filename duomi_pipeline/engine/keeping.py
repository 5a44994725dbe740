"""Nothing paid is thrown away: bytes that became no picture are kept, and looked at again before anything is bought.

Where they lie is `kept_answers`'s.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from duomi_pipeline.duomi import DuomiClient, DuomiError, ImageRequest
from duomi_pipeline.duomi.answers import Pictures
from duomi_pipeline.duomi.pictures import Image
from duomi_pipeline.engine.download import Fetcher
from duomi_pipeline.engine.kept_answers import About, KeptAnswer, KeptAnswers, KeptFullError, Kind
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.images import StoreError
from duomi_pipeline.ledger import Ledger, Purchase


@dataclass(frozen=True)
class Keeper:
    """Keeps and rereads the answers of one run; called from many threads."""

    answers: KeptAnswers
    client: DuomiClient
    fetcher: Fetcher
    ledger: Ledger

    def second_look(self, request: ImageRequest) -> tuple[list[KeptAnswer], Pictures | None]:
        """What is kept of a request, and the pictures in it, if they can be read by now: they are paid."""
        kept = self.answers.of(request.key)
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
                    return kept, answer
        if not images:
            return kept, None
        first = next(one for one in kept if one.kind == "picture")
        return kept, Pictures(tuple(images[position] for position in sorted(images)), first.seed, first.task_id)

    def became_pictures(self, kept: Sequence[KeptAnswer]) -> None:
        """Their pictures are saved: what they cost is known now."""
        for purchase_id in {one.purchase_id for one in kept}:
            self.ledger.answer_found(purchase_id)
        self.answers.drop(kept)

    def keep_answer(self, entry: PlannedPrompt, purchase: Purchase, reason: str, body: bytes) -> None:
        """Keep a whole answer that is not understood.

        Raises:
            StoreError: it cannot be kept.
        """
        self._keep(body, _about(entry, purchase, "answer", reason))

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
                about = _about(entry, purchase, "picture", reason, position, pictures)
                self._keep(data, about)

    def _keep(self, data: bytes, about: About) -> None:
        try:
            self.answers.keep(data, about)
        except (KeptFullError, OSError) as error:
            raise StoreError(f"{about.reason}; and what came could not be kept: {error}") from error


def _about(
    entry: PlannedPrompt,
    purchase: Purchase,
    kind: Kind,
    reason: str,
    position: int = 0,
    pictures: Pictures | None = None,
) -> About:
    return About(
        request_key=purchase.request_key,
        prompt_id=entry.prompt.id,
        purchase_id=purchase.id,
        kind=kind,
        reason=reason,
        position=position,
        seed=pictures.seed if pictures else None,
        task_id=pictures.task_id if pictures else None,
    )
