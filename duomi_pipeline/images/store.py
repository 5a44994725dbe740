"""The folder of pictures: files named as in the guide, written whole or not at all, never overwritten.

Which prompt and purchase a file belongs to is in the ledger; how files are kept is in `local_folder`, `object_folder`.
"""

import errno
import json
import threading
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from duomi_pipeline.common.files import time_stamp
from duomi_pipeline.common.places import Place
from duomi_pipeline.common.text import one_line
from duomi_pipeline.images.listing import Listing, listing_of
from duomi_pipeline.images.local_folder import LocalFolder

if TYPE_CHECKING:
    from upath import UPath

    from duomi_pipeline.images.object_folder import ObjectFolder

_LOCAL = ("file", "local")  # protocols of URLs
_IDENTITY = ".duomi-folder.json"
_PROBE_BYTES = 4096
_ROOM = 4_000_000  # bytes that a picture in flight may need
_ADVICE = {
    errno.ENOSPC: "the disk is full; make room, then start again",
    errno.EDQUOT: "the quota is used up; make room, then start again",
    errno.EACCES: "no permission to write there; check the folder's rights or DUOMI_IMAGE_DIR",
    errno.EROFS: "the folder is read-only; set DUOMI_IMAGE_DIR to one that is not",
}


class StoreError(Exception):
    """A picture could not be written or read; no partial file is left."""


class PictureLostError(StoreError):
    """One stored picture is gone or damaged; others are not affected."""


class ImageStore:
    """Pictures under one base path.

    Args:
        base: a folder, or any fsspec URL such as `s3://bucket/pictures`.
        run_id: of the run that writes here; its temporary files are named after it.
    """

    def __init__(self, base: Place, run_id: str = "") -> None:
        self._base = base
        self._folder = _folder_at(base, run_id)
        self._is_local = isinstance(self._folder, LocalFolder)
        self._naming = threading.Lock()
        self._given: set[str] = set()
        self._is_marked = False

    @cached_property
    def base(self) -> "UPath":
        """The base path, as all kinds of places are used alike."""
        from upath import UPath  # noqa: PLC0415

        return UPath(self._base)

    def names(self, prefix: str, now: datetime, count: int) -> list[str]:
        """Free names for the pictures of one request: `{prefix}_{timestamp}.png`, with `_1`, `_2` for several.

        A name is given once: prompts that share a prefix get different milliseconds, also where it differs by case. In
        a bucket a mark of this process stands behind the timestamp.
        """
        with self._naming:
            while True:
                stem = f"{prefix}_{time_stamp(now)}{self._folder.mark}"
                names = [f"{stem}.png"] if count == 1 else [f"{stem}_{index}.png" for index in range(1, count + 1)]
                marks = {_without_case(name) for name in names}
                if self._given.isdisjoint(marks) and not any(map(self._folder.has, names)):
                    self._given |= marks
                    return names
                now += timedelta(milliseconds=1)

    def save(self, name: str, data: bytes) -> None:
        """Write a picture, whole or not at all.

        Raises:
            StoreError: the name is taken, the disk is full, the folder is read-only, …
        """
        if self._is_away():
            raise StoreError(f"{name} could not be saved in {self._base}: the folder was moved or unmounted")
        try:
            self._folder.write_new(name, data)
        except Exception as error:
            raise StoreError(f"{name} could not be saved in {self._base}: {_words(error)}") from error

    def read(self, name: str) -> bytes:
        """A picture's bytes.

        Raises:
            PictureLostError: it is not there or cannot be read.
        """
        try:
            return self._folder.read(name)
        except Exception as error:
            raise PictureLostError(f"{name} could not be read from {self._base}: {_words(error)}") from error

    def problem(self) -> str | None:
        """Why no picture could be saved now, found by writing and removing a small file; `None` if one can be."""
        try:
            self._folder.try_to_write(_PROBE_BYTES)
        except Exception as error:  # noqa: BLE001 - each fsspec store has errors of its own
            return f"No picture can be saved in {self._base}: {_words(error)}"
        return None

    def room(self, requests: int) -> str | None:
        """Why there is no space for so many more pictures; `None` if there is, or if it is unknown."""
        free = self._folder.free()
        if free is not None and free < requests * _ROOM:
            return f"Less than {requests * _ROOM // 1_000_000} MB are free for {self._base}: {_ADVICE[errno.ENOSPC]}"
        return None

    def sweep(self, is_gone: Callable[[str], bool] = lambda _: False) -> None:
        """Remove partial files of killed runs.

        Args:
            is_gone: whether the run of this id is known to be dead; files of other runs are removed after a day.
        """
        self._folder.sweep(is_gone)

    def listing(self) -> Listing:
        """List all pictures. Never fails: what cannot be read is unknown."""
        try:
            return self._folder.listing()
        except Exception as error:  # noqa: BLE001 - each fsspec store has errors of its own
            return Listing(problem=f"{self._base} cannot be read: {_words(error)}")

    def look(self, names: Iterable[str]) -> Listing:
        """Like `listing`, of these pictures alone."""
        sizes: dict[str, int] = {}
        try:
            if self._is_away():
                return Listing(problem=f"{self._base} was moved or unmounted")
            for name in names:
                with suppress(FileNotFoundError, NotADirectoryError):
                    sizes[name] = self._folder.size(name)
        except Exception as error:  # noqa: BLE001 - each fsspec store has errors of its own
            return Listing(problem=f"{self._base} cannot be read: {_words(error)}")
        return listing_of(sizes)

    def identity(self) -> str | None:
        """The id of this folder, by which the ledger recognises it; `None` if it has none.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            identity = str(json.loads(self._folder.read(_IDENTITY))["id"])
        except (FileNotFoundError, NotADirectoryError, ValueError, LookupError, TypeError):
            return None
        except IsADirectoryError as error:
            raise StoreError(f"{self._base / _IDENTITY} is no file: remove it, then start again") from error
        except Exception as error:
            raise StoreError(f"{self._base} cannot be read: {_words(error)}") from error
        self._is_marked = True
        return identity

    def set_identity(self, identity: str) -> str:
        """Write the id of this folder, unless somebody else just has. Returns the one that it has now.

        Raises:
            StoreError: it cannot be written.
        """
        about = "This folder's mark: the ledger knows by it which folder its pictures are in. Leave it here."
        data = json.dumps({"id": identity, "about": about}).encode()
        try:
            self._folder.write_new(_IDENTITY, data)
        except FileExistsError:
            if (other := self.identity()) is not None:
                return other
            raise StoreError(f"{self._base / _IDENTITY} is not a mark: remove it, then start again") from None
        except Exception as error:
            raise StoreError(f"{_IDENTITY} could not be written in {self._base}: {_words(error)}") from error
        self._is_marked = True
        return identity

    def location(self, name: str) -> str:
        """The path or URL of a picture, as text."""
        return str(self._base / name)

    def _is_away(self) -> bool:
        """Whether the folder whose mark was read or written is no longer there; a bucket is not unmounted."""
        return self._is_local and self._is_marked and not self._folder.has(_IDENTITY)


def _folder_at(base: Place, run_id: str) -> "LocalFolder | ObjectFolder":
    if isinstance(base, Path):
        return LocalFolder(str(base), run_id)
    if base.protocol in _LOCAL:
        return LocalFolder(base.path, run_id)
    from duomi_pipeline.images.object_folder import ObjectFolder  # noqa: PLC0415 - it loads fsspec

    return ObjectFolder(base)


def _without_case(name: str) -> str:
    """The same for names that are one file on a file system without case, or with one way to write an accent."""
    return unicodedata.normalize("NFC", name).casefold()


def _words(error: Exception) -> str:
    """What a store says, and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _ADVICE.get(number or 0, one_line(words, 200))
