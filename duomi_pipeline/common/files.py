"""Atomic file writes, file sizes, and time stamps for file names. The folder of pictures is in `images.store`."""

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

_DRAFT = ".draft"
_FORGOTTEN = 3600.0  # seconds; an older draft was left by a killed process


@contextlib.contextmanager
def drafts(*paths: Path, on_disk: bool = False) -> Iterator[list[Path]]:
    """Temporary files that replace others together: when the block ends, or not at all when it raises.

    A reader that has a replaced file open keeps reading the old content.

    Args:
        paths: of the files to replace; their folders exist.
        on_disk: flush every draft to disk before the first one replaces a file.

    Raises:
        OSError: a draft cannot be written or renamed.
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
    """Write a file, whole or not at all, replacing an existing one; its folder is created if missing.

    Raises:
        OSError: it cannot be written; an existing file is unchanged.
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
    """Size of regular files together; links, folders and files that are gone count 0."""
    size = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size


def time_stamp(moment: datetime) -> str:
    """A moment as used in file names: `20260304_050607_089`, in UTC, to the millisecond."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y%m%d_%H%M%S}_{utc.microsecond // 1000:03d}"


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
