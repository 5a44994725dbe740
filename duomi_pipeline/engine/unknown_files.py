"""What the files are that the ledger does not know, or knows with another size: each PNG names its prompt and request.

Each such file is opened once.
"""

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from duomi_pipeline.duomi.request import request_key
from duomi_pipeline.images import ImageStore, Listing, NotAPictureError, StoreError
from duomi_pipeline.images.fingerprint import bits_apart
from duomi_pipeline.images.metadata import PictureInfo, read_info
from duomi_pipeline.images.png import check_whole, stored_look
from duomi_pipeline.ledger import Ledger, Origin, PictureFile
from duomi_pipeline.ledger.repair import Findings, FoundPurchase, Renamed

SAME_LOOK = 3  # bits in which two fingerprints of the same picture may differ; an optimiser changes no pixel
LARGEST = 400_000_000  # bytes; no picture of ours is larger: 67 megapixels without compression are half of that


@dataclass(frozen=True)
class Survey:
    """What the files are that the ledger does not know, or knows with another size.

    Attributes:
        unrecorded: whole pictures of ours without a record.
        renamed: recorded pictures under another name or with another size.
        foreign: other PNG files, damaged ones, and copies of ours, by name; they are left alone.
        unreadable: files that could not be read, by name, and why.
    """

    unrecorded: tuple[tuple[str, PictureInfo], ...] = ()
    renamed: tuple[Renamed, ...] = ()
    foreign: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()


def look_into(ledger: Ledger, store: ImageStore, listing: Listing, names: Iterable[str]) -> Survey:
    """Open files and determine what each is.

    Args:
        names: files in the listing.
    """
    unrecorded: list[tuple[str, PictureInfo]] = []
    renamed: list[Renamed] = []
    foreign: list[str] = []
    unreadable: list[tuple[str, str]] = []
    records = _Records.of(ledger, listing)
    for name in sorted(names, key=lambda name: (len(name), name)):  # a copy's name is mostly longer
        if listing.sizes[name] > LARGEST:
            foreign.append(name)
            continue
        try:
            data = store.read(name)
        except StoreError as error:
            unreadable.append((name, str(error)))
            continue
        info = own_info(data)
        record = records.of_picture(name, info, data)
        if record is not None:
            renamed.append(Renamed(record, name, listing.sizes[name]))
        elif info is None or records.has(info):
            foreign.append(name)
        else:
            unrecorded.append((name, info))
        if info is not None:
            records.add(info)
    return Survey(tuple(unrecorded), tuple(renamed), tuple(foreign), tuple(unreadable))


def findings_of(found: Survey, sizes: Mapping[str, int]) -> Findings:
    """What the ledger has to record after a survey."""
    groups: dict[tuple[str, str, str], list[tuple[str, PictureInfo]]] = defaultdict(list)
    for name, info in found.unrecorded:
        groups[info.prompt_id, info.request_key, info.created_at.isoformat()].append((name, info))
    return Findings(
        purchases=tuple(_purchase(group, sizes) for group in groups.values()),
        renamed=found.renamed,
        foreign={name: sizes[name] for name in found.foreign},
    )


_Mark = tuple[str, int, float]  # identifies a picture: prompt, position, time of saving; equal for a copy of the file


class _Records:
    """The pictures in the ledger, and which of them have their file."""

    def __init__(self, files: Sequence[PictureFile], listing: Listing) -> None:
        self._by_mark = {(file.prompt_id, file.position, file.saved_at): file for file in files}
        self._by_name = {file.file: file for file in files}
        self._there = {mark for mark, file in self._by_mark.items() if listing.sizes.get(file.file) == file.bytes}

    @classmethod
    def of(cls, ledger: Ledger, listing: Listing) -> "_Records":
        return cls([file for files in ledger.saved_files().values() for file in files], listing)

    def has(self, info: PictureInfo) -> bool:
        """Whether this picture has a file already, so that another file is a copy."""
        return _mark(info) in self._there

    def add(self, info: PictureInfo) -> None:
        """Note that this picture has a file."""
        self._there.add(_mark(info))

    def of_picture(self, name: str, info: PictureInfo | None, data: bytes) -> PictureFile | None:
        """The record of a picture whose file has another name or size than recorded; `None` if it has none."""
        if info is not None:
            record = self._by_mark.get(_mark(info))
            return None if record is None or self.has(info) else record
        record = self._by_name.get(name)  # no metadata: compare name and fingerprint
        return record if record is not None and _looks_like(record, data) else None


def _looks_like(record: PictureFile, data: bytes) -> bool:
    if record.perceptual_hash is None:
        return False
    try:
        check_whole(data)
        return bits_apart(stored_look(data).perceptual_hash, record.perceptual_hash) <= SAME_LOOK
    except NotAPictureError:
        return False


def _mark(info: PictureInfo) -> _Mark:
    return info.prompt_id, info.index, info.created_at.timestamp()


def own_info(data: bytes) -> PictureInfo | None:
    """What a whole picture of ours says of itself; `None` of any other file, and of one that contradicts itself."""
    with contextlib.suppress(NotAPictureError):
        check_whole(data)
        info = read_info(data)
        return info if info is not None and info.request_key == request_key(info.request) else None
    return None


def _purchase(group: Sequence[tuple[str, PictureInfo]], sizes: Mapping[str, int]) -> FoundPurchase:
    first = group[0][1]
    prices = [info.price for _, info in group]
    files = [
        PictureFile(
            prompt_id=info.prompt_id,
            purchase_id=0,
            position=info.index,
            file=name,
            bytes=sizes[name],
            size=info.size,
            received_size=info.received_size,
            origin=Origin.REUSED if info.origin == Origin.REUSED else Origin.GENERATED,
            saved_at=info.created_at.timestamp(),
            perceptual_hash=info.perceptual_hash,
            contrast=info.contrast,
        )
        for name, info in group
    ]
    return FoundPurchase(
        request_key=first.request_key,
        request=json.dumps(first.request, sort_keys=True, ensure_ascii=False, separators=(",", ":")),
        prompt_id=first.prompt_id,
        prompt_version=first.prompt_version,
        settings_fingerprint=first.settings_fingerprint,
        seed=first.seed,
        task_id=first.task_id,
        saved_at=first.created_at.timestamp(),
        price=None if None in prices else sum(price for price in prices if price is not None),
        currency=first.currency or "CNY",
        was_paid=first.origin != Origin.REUSED,
        files=tuple(files),
    )
