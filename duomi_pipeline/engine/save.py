"""Save pictures: write the metadata into the PNG, store the file, record it. A kill at any point loses nothing.

Downloading and decoding are in `download`; the folder is `images.store`.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.engine.ledger_retry import retry_ledger_write
from duomi_pipeline.engine.unknown_files import own_info
from duomi_pipeline.images import ImageStore, NotAPictureError, PictureLostError
from duomi_pipeline.images.fingerprint import Look
from duomi_pipeline.images.metadata import PictureInfo, with_info
from duomi_pipeline.images.png import Png, check_whole
from duomi_pipeline.ledger import Ledger, Origin, PictureFile, Purchase, Selection
from duomi_pipeline.prompts import Prompt


@dataclass(frozen=True)
class Saver:
    """Writes pictures of one run.

    Args:
        settings_fingerprint: fingerprint of the settings of the run.
        price, currency: price of each picture; together the pictures cost what their purchase cost.
    """

    ledger: Ledger
    store: ImageStore
    settings_fingerprint: str
    price: float | None
    currency: str

    def save(
        self, prompt: Prompt, request: ImageRequest, purchase: Purchase, pngs: Sequence[Png], origin: Origin
    ) -> Selection:
        """Write a prompt's pictures and make them its current ones.

        Raises:
            StoreError: they cannot be written; the purchase stays recorded as it is.
        """
        files = self.write(prompt, request, purchase, dict(enumerate(pngs)), len(pngs), origin)
        return self.record(prompt, request, purchase, list(files.values()))

    def write(
        self,
        prompt: Prompt,
        request: ImageRequest,
        purchase: Purchase,
        pngs: Mapping[int, Png],
        count: int,
        origin: Origin,
    ) -> dict[int, PictureFile]:
        """Write pictures without recording them; the metadata of a file names its prompt, request and position.

        Args:
            pngs: by their position in the answer.
            count: number of pictures in the answer.

        Raises:
            StoreError: a file cannot be written.
        """
        now = datetime.now(UTC)
        names = self.store.names(prompt.file_prefix, now, count)
        files = {}
        for position, png in pngs.items():
            data = with_info(png.data, self._info(prompt, request, purchase, png, position, origin, now))
            self.store.save(names[position], data)
            files[position] = PictureFile(
                prompt_id=prompt.id,
                purchase_id=purchase.id,
                position=position,
                file=names[position],
                bytes=len(data),
                size=str(png.size),
                received_size=str(png.received_size),
                origin=origin,
                saved_at=now.timestamp(),
                perceptual_hash=png.look.perceptual_hash if png.look else None,
                contrast=png.look.contrast if png.look else None,
            )
        return files

    def record(
        self,
        prompt: Prompt,
        request: ImageRequest,
        purchase: Purchase,
        files: Sequence[PictureFile],
        write: Callable[[Callable[[], None]], None] = retry_ledger_write,
    ) -> Selection:
        """Record that these new files are the prompt's pictures.

        Args:
            write: calls the ledger; with retries by default.
        """
        selection = self._selection(prompt, request, purchase.id, files)
        write(lambda: self.ledger.saved(purchase, selection))
        return selection

    def select(self, prompt: Prompt, request: ImageRequest, files: Sequence[PictureFile]) -> Selection:
        """Select files that are recorded already as the prompt's current ones.

        Raises:
            PictureLostError: one is missing or damaged.
        """
        selection = self.selection(prompt, request, files)
        self.ledger.select(selection)
        return selection

    def selection(self, prompt: Prompt, request: ImageRequest, files: Sequence[PictureFile]) -> Selection:
        """The same without recording it."""
        for file in files:
            self._whole(file)
        return self._selection(prompt, request, files[0].purchase_id, files)

    def copy(
        self, prompt: Prompt, request: ImageRequest, purchase: Purchase, source: Sequence[PictureFile]
    ) -> Selection:
        """Copy pictures of another prompt with an identical request.

        Raises:
            StoreError: the other files are missing or damaged, or the copies cannot be written.
        """
        return self.save(prompt, request, purchase, [self._reread(file) for file in source], Origin.REUSED)

    def found(self, prompt: Prompt, request: ImageRequest, purchase: Purchase) -> dict[int, PictureFile]:
        """Files that an interrupted run saved for this prompt and request, but did not record, by position."""
        known = {name for name, _size in self.ledger.recorded_files()}
        sent_at = self.ledger.sent_at(purchase.id)  # an older file belongs to an earlier purchase of the same request
        found: dict[int, PictureFile] = {}
        for name, size in self.store.listing().sizes.items():
            if not name.startswith(prompt.file_prefix) or name in known:
                continue
            data = self.store.read(name)
            info = own_info(data)
            if info is None or info.origin == Origin.REUSED or info.created_at.timestamp() < sent_at:
                continue
            if info.prompt_id == prompt.id and info.request_key == request.key:
                found[info.index] = PictureFile(
                    prompt_id=prompt.id,
                    purchase_id=purchase.id,
                    position=info.index,
                    file=name,
                    bytes=size,
                    size=info.size,
                    received_size=info.received_size,
                    origin=Origin.ADOPTED,
                    saved_at=info.created_at.timestamp(),
                    perceptual_hash=info.perceptual_hash,
                    contrast=info.contrast,
                )
        return found

    def _reread(self, file: PictureFile) -> Png:
        data = self._whole(file)
        known = file.perceptual_hash is not None and file.contrast is not None
        look = Look(file.perceptual_hash or "", file.contrast or 0.0) if known else None
        return Png.stored(data, file.size, file.received_size, look)

    def _whole(self, file: PictureFile) -> bytes:
        """The bytes of a stored picture, checked by its checksums.

        Raises:
            PictureLostError: it is missing or damaged.
        """
        data = self.store.read(file.file)
        try:
            check_whole(data)
        except NotAPictureError as error:
            raise PictureLostError(f"{file.file}: {error}; delete it, and it is made again") from error
        return data

    def _selection(
        self, prompt: Prompt, request: ImageRequest, purchase_id: int, files: Iterable[PictureFile]
    ) -> Selection:
        return Selection(
            prompt_id=prompt.id,
            purchase_id=purchase_id,
            request_key=request.key,
            prompt_version=prompt.version,
            settings_fingerprint=self.settings_fingerprint,
            selected_at=time.time(),
            files=tuple(files),
        )

    def _info(
        self,
        prompt: Prompt,
        request: ImageRequest,
        purchase: Purchase,
        png: Png,
        index: int,
        origin: Origin,
        now: datetime,
    ) -> PictureInfo:
        return PictureInfo(
            prompt_id=prompt.id,
            prompt_version=prompt.version,
            prompt=request.prompt,
            request_key=request.key,
            request=request.content,
            settings_fingerprint=self.settings_fingerprint,
            host_kind=request.host_kind,
            model=request.model,
            task_id=purchase.task_id,
            index=index,
            requested_size=str(request.asked_size),
            received_size=str(png.received_size),
            size=str(png.size),
            seed=purchase.seed if purchase.seed is not None else request.seed,
            origin=origin,
            price=self.price,
            currency=self.currency,
            perceptual_hash=png.look.perceptual_hash if png.look else None,
            contrast=png.look.contrast if png.look else None,
            created_at=now,
        )
