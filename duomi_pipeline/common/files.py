"""Files that are whole or not there, and the time in their names. The pictures' own folder is `images.store`."""

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

_DRAFT = ".draft"
_FORGOTTEN = 3600.0  # seconds after which a draft is one of a killed process


@contextlib.contextmanager
def drafts(*paths: Path, on_disk: bool = False) -> Iterator[list[Path]]:
    """Files to be written in place of others: they replace these when the block ends, and vanish when it fails.

    Whoever has one of the replaced files open keeps reading what it was.

    Args:
        paths: of the files in the end; their folders are there.
        on_disk: bring every draft to the disk before the first replaces anything.

    Raises:
        OSError: a draft cannot be written or take its place.
    """
    made = [path.with_name(f".{path.name}-{secrets.token_hex(4)}{_DRAFT}") for path in paths]
    try:
        yield made
        if on_disk:
            for draft in made:
                _sync(draft)
        for draft, path in zip(made, paths, strict=True):
            os.replace(draft, path)  # noqa: PTH105
    finally:
        for draft in made:
            draft.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, in place of what is there; its folder is made if need be.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with drafts(path) as (draft,):
        draft.write_bytes(data)


def sweep_drafts(folder: Path) -> None:
    """Remove the drafts of killed processes."""
    for draft in folder.glob(f".*{_DRAFT}"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > _FORGOTTEN:
                draft.unlink()


def bytes_of(paths: Iterable[Path]) -> int:
    """What regular files take; links, folders and what has gone meanwhile count nothing."""
    size = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size


def time_stamp(moment: datetime) -> str:
    """A moment as it stands in the names of files: `20260304_050607_089`, in UTC, to the millisecond."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y%m%d_%H%M%S}_{utc.microsecond // 1000:03d}"


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
