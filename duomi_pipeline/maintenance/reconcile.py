"""Ledger and folder compared: files without records, records without files, and how both are mended."""

import contextlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duomi_pipeline.engine.session import Session
from duomi_pipeline.images import ImageStore, NotAPictureError, PictureInfo, StoreError, check_whole, read_info
from duomi_pipeline.ledger import PictureFile
from duomi_pipeline.ledger.repair import FoundPurchase, forget, restore


@dataclass(frozen=True)
class Survey:
    """What does not fit together.

    Attributes:
        unrecorded: whole pictures of ours that the ledger does not know.
        foreign: other PNG files in the folder, damaged ones, and copies of ours; they are left alone.
        gone: recorded files that are not there, or of another size.
    """

    unrecorded: tuple[tuple[str, PictureInfo], ...]
    foreign: tuple[str, ...]
    gone: tuple[PictureFile, ...]


def survey(session: Session) -> Survey:
    """Compare folder and ledger; reads only the files that the ledger does not know."""
    sizes = session.store.sizes()
    recorded = [file for files in session.ledger.saved_files().values() for file in files]
    gone = tuple(file for file in recorded if sizes.get(file.file) != file.bytes)
    known, there = {file.file for file in recorded}, set(recorded) - set(gone)
    had = {(file.prompt_id, file.position, file.saved_at) for file in there}
    unrecorded, foreign = [], []
    for name in sorted(set(sizes) - known, key=lambda name: (len(name), name)):  # a copy's name is mostly longer
        info = _info(session.store, name)
        if info is None or _mark(info) in had:
            foreign.append(name)
        else:
            unrecorded.append((name, info))
            had.add(_mark(info))
    return Survey(tuple(unrecorded), tuple(foreign), gone)


def mend(session: Session, found: Survey) -> None:
    """Record what is unrecorded and forget what is gone. No file is touched, and no cost is forgotten."""
    sizes = session.store.sizes()
    groups: dict[tuple[str, str, str], list[tuple[str, PictureInfo]]] = defaultdict(list)
    open_keys = session.ledger.open_keys()  # the next run adopts the files of these, and settles what they cost
    for name, info in found.unrecorded:
        if info.request_key in open_keys:
            continue
        groups[info.prompt_id, info.request_key, info.created_at.isoformat()].append((name, info))
    forget(session.ledger.database, found.gone)
    restore(session.ledger.database, [_purchase(group, sizes) for group in groups.values()])


def lost_ledger(session: Session) -> str | None:
    """Why nothing may be bought: an empty ledger beside our pictures is a lost one, and all would be paid again."""
    if session.ledger.selections():
        return None
    if found := survey(session).unrecorded:
        where = f"{len(found)} pictures are in {session.store.base}"
        return f"The ledger is empty, but {where}. Run `duomi ledger rebuild` first."
    return None


def _mark(info: PictureInfo) -> tuple[str, int, float]:
    """By what a file is told from a copy of it."""
    return info.prompt_id, info.index, info.created_at.timestamp()


def _info(store: ImageStore, name: str) -> PictureInfo | None:
    with contextlib.suppress(StoreError, NotAPictureError):
        data = store.read(name)
        check_whole(data)
        return read_info(data)
    return None


def _purchase(group: Sequence[tuple[str, PictureInfo]], sizes: Mapping[str, int]) -> FoundPurchase:
    first = group[0][1]
    prices = [info.price for _, info in group]
    files = [
        PictureFile(
            info.prompt_id,
            0,
            info.index,
            name,
            sizes[name],
            info.size,
            info.received_size,
            "reused" if info.origin == "reused" else "generated",
            info.created_at.timestamp(),
            info.perceptual_hash,
            info.contrast,
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
        was_paid=first.origin != "reused",
        files=tuple(files),
    )
