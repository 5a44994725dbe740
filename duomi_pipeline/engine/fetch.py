"""From an answer's addresses and bytes to whole pictures: downloads, and fresh addresses for those that died.

Buying the answer is `buy`'s, keeping its pictures is `saving`'s.
"""

import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from duomi_pipeline.duomi import DuomiClient, ImageRequest
from duomi_pipeline.duomi.answers import Image, Pictures, Waiting
from duomi_pipeline.duomi.errors import BadImage, DuomiError, NotDownloaded
from duomi_pipeline.engine.insist import insist
from duomi_pipeline.images import NotAPictureError, Png, to_png
from duomi_pipeline.ledger import Ledger, Purchase

DOWNLOADS = 4  # tries at an address before its picture counts as bad
DOWNLOAD_WAIT = 0.5  # seconds before the second try, then doubling
URL_LIFETIME = 3600.0  # seconds; after that an address is taken for dead
# A decoded picture takes megabytes: more at a time than there are cores would only fill the memory.
_DECODERS = threading.BoundedSemaphore(os.cpu_count() or 2)


@dataclass(frozen=True)
class Fetcher:
    """Fetches the pictures of one run; called from many threads."""

    client: DuomiClient
    ledger: Ledger

    def note(self, purchase: Purchase, post: int | None, answer: Pictures) -> None:
        """Write where the pictures are. Bytes without an address go straight to the folder: a file says whose it is."""
        urls = [image.url for image in answer.images if image.url]
        if len(urls) == len(answer.images):
            insist(lambda: self.ledger.answered(purchase, post, urls, answer.seed))

    def fetch(
        self, request: ImageRequest, purchase_id: int, answer: Pictures, had: Collection[int]
    ) -> tuple[dict[int, Png], BadImage | None]:
        """Whole pictures of the delivery size by their position in the answer, and why one is missing.

        Args:
            had: positions of those that are there already.

        Raises:
            DuomiError: none is there, and the service has an error for who asks for fresh addresses.
        """
        pngs, missing = self._got(request, answer, had)
        if isinstance(missing, NotDownloaded):
            renewed = self._renewed(request, purchase_id, spare=bool(pngs))
            if renewed is not None:
                more, missing = self._got(request, renewed, {*had, *pngs})
                pngs |= more
        return pngs, missing

    def address_lives(self, purchase_id: int) -> bool:
        """Whether the pictures of a purchase may still be downloaded."""
        chain = self.ledger.purchase(purchase_id)
        return chain.state == "ready" and time.time() - (chain.answered_at or 0.0) < URL_LIFETIME

    def _got(
        self, request: ImageRequest, answer: Pictures, had: Collection[int]
    ) -> tuple[dict[int, Png], BadImage | None]:
        pngs: dict[int, Png] = {}
        missing: BadImage | None = None
        for position, image in enumerate(answer.images):
            if position in had:
                continue
            try:
                pngs[position] = self._png(image, request)
            except BadImage as error:  # what did not arrive may come later, what is broken stays so
                missing = error if isinstance(error, NotDownloaded) else missing or error
        return pngs, missing

    def _renewed(self, request: ImageRequest, purchase_id: int, *, spare: bool) -> Pictures | None:
        """A task's pictures at fresh addresses, free of charge.

        Args:
            spare: some pictures are in hand: an error is no reason to lose them.
        """
        purchase = self.ledger.purchase(purchase_id)
        if purchase.task_id is None:
            return None
        try:
            renewed = self.client.poll(request, purchase.task_id)
        except DuomiError:
            if spare:
                return None
            raise
        if isinstance(renewed, Waiting):
            return None
        self.note(purchase, None, renewed)
        return renewed

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


def _checked(data: bytes, request: ImageRequest) -> Png:
    try:
        with _DECODERS:
            return to_png(data, request.delivery_size)
    except NotAPictureError as error:
        raise BadImage(str(error)) from error
