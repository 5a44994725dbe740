"""Download and decode the pictures of an answer, and request new addresses for expired ones.

Buying the answer is in `purchase`; writing its pictures is in `save`.
"""

import io
import os
import tempfile
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import IO

from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.duomi.answers import Pictures
from duomi_pipeline.duomi.client import DuomiClient
from duomi_pipeline.duomi.errors import BadImage, DuomiError, NotDownloaded
from duomi_pipeline.duomi.pictures import Image
from duomi_pipeline.engine.ledger_retry import retry_ledger_write
from duomi_pipeline.engine.tasks import Tasks
from duomi_pipeline.images import NotAPictureError, StoreError
from duomi_pipeline.images.png import Png, to_png
from duomi_pipeline.ledger import Ledger, Purchase, PurchaseState
from duomi_pipeline.settings import Size

DOWNLOADS = 4  # tries of an address that refuses or delivers no whole picture, before the download fails
FIRST_WAIT, MAX_WAIT = 0.5, 15.0  # seconds between two tries, doubling
_IN_MEMORY = 200_000  # bytes of a download; a larger one waits on disk for its decoder
URL_LIFETIME = 3600.0  # seconds; after that an address counts as expired


@cache
def _decoders() -> ThreadPoolExecutor:
    """The threads that decode, one per CPU, for the life of the process. Pictures wait for them on disk.

    Few threads, because a decoded picture takes megabytes.
    """
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="duomi-decoder")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_decoders.cache_clear)  # a fork has no threads of its parent


@dataclass(frozen=True)
class Fetcher:
    """Fetches the pictures of one run; called from many threads.

    Args:
        hurried: set when the run must end without waiting.
        patience: seconds for which a download is retried while the host is busy.
    """

    client: DuomiClient
    ledger: Ledger
    tasks: Tasks
    hurried: threading.Event
    patience: float

    def fetch(
        self, request: ImageRequest, purchase: Purchase, answer: Pictures, had: Collection[int]
    ) -> tuple[dict[int, Png], BadImage | None]:
        """Get the pictures in the delivery size, by their position in the answer, and the error of one that is missing.

        Args:
            had: positions of pictures that are on disk already.

        Raises:
            DuomiError: there is no picture, and the service has no new addresses (or another service has them).
        """
        pngs, missing = self._got(request, answer, had)
        if isinstance(missing, NotDownloaded):
            renewed = self._renewed(request, purchase.id, spare=bool(pngs))
            if renewed is not None:
                more, missing = self._got(request, renewed, {*had, *pngs})
                pngs |= more
        return pngs, missing

    def address_lives(self, purchase_id: int) -> bool:
        """Whether the pictures of a purchase may still be downloaded."""
        purchase = self.ledger.purchase(purchase_id)
        return purchase.state == PurchaseState.READY and time.time() - (purchase.answered_at or 0.0) < URL_LIFETIME

    def _got(
        self, request: ImageRequest, answer: Pictures, had: Collection[int]
    ) -> tuple[dict[int, Png], BadImage | None]:
        pngs: dict[int, Png] = {}
        missing: BadImage | None = None
        for position, image in enumerate(answer.images):
            if position in had:
                continue
            try:
                pngs[position] = self.png(image, request)
            except BadImage as error:  # a download can be retried later, a broken picture cannot
                error.position = position
                missing = error if isinstance(error, NotDownloaded) else missing or error
        return pngs, missing

    def _renewed(self, request: ImageRequest, purchase_id: int, *, spare: bool) -> Pictures | None:
        """Poll a task again for new addresses of its pictures; free of charge.

        Args:
            spare: some pictures were downloaded; return `None` instead of raising.
        """
        purchase = self.ledger.purchase(purchase_id)
        if purchase.task_id is None:
            return None
        try:
            self.tasks.check_is_here(purchase)
            renewed = self.client.poll(request, purchase.task_id)
        except DuomiError:
            if spare:
                return None
            raise
        if not isinstance(renewed, Pictures):
            return None
        urls = [self.client.masked(image.url) for image in renewed.images if image.url]
        if len(urls) == len(renewed.images):
            retry_ledger_write(lambda: self.ledger.answered(purchase, None, urls, renewed.seed))
        return renewed

    def png(self, image: Image, request: ImageRequest) -> Png:
        """One picture in the delivery size: from the bytes in the answer, else downloaded, with retries.

        Raises:
            BadImage: the bytes are no whole picture, or the download failed.
        """
        if image.problem:
            raise BadImage(image.problem, data=image.raw)
        if image.data is not None:
            try:
                return self._decoded(io.BytesIO(image.data), request)
            except BadImage:
                if image.url is None:
                    raise
        wait, tries, end = min(FIRST_WAIT, self.patience / 8), 1, time.monotonic() + self.patience
        while True:
            try:
                return self._downloaded(image.url or "", request)
            except BadImage as error:
                is_busy = isinstance(error, NotDownloaded) and not error.definite
                tries += not is_busy
                if tries > DOWNLOADS or time.monotonic() + wait > end or self.hurried.wait(wait):
                    raise
                wait = min(2 * wait, MAX_WAIT)

    def _downloaded(self, url: str, request: ImageRequest) -> Png:
        try:
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
                self.client.download(url, file)
                return self._decoded(file, request)
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"No picture can be downloaded: {reason}. Free space in the temporary folder (TMPDIR)."
            raise StoreError(message) from error

    def _decoded(self, file: IO[bytes], request: ImageRequest) -> Png:
        try:
            return _decoders().submit(_read, file, request.delivery_size).result()
        except NotAPictureError as error:
            file.seek(0)
            raise BadImage(str(error), data=file.read()) from error


def _read(file: IO[bytes], delivery: Size) -> Png:
    file.seek(0)
    return to_png(file.read(), delivery)
