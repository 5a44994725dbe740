"""The folder of pictures: files named as in the guide, written whole or not at all, never overwritten.

Which prompt and purchase a file belongs to is in the ledger; the result of listing the folder is in `listing`.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from upath import UPath
from upath.implementations.local import FilePath, PosixUPath, WindowsUPath

from duomi_pipeline.common.files import time_stamp
from duomi_pipeline.common.text import one_line
from duomi_pipeline.images.listing import Listing

_LOCAL = (FilePath, PosixUPath, WindowsUPath)
_TEMPORARY = ".duomi-"
_IDENTITY = ".duomi-folder.json"
_PICTURE = ".png"
_PROBE_BYTES = 4096
_ROOM = 4_000_000  # bytes that a picture in flight may need
_FORGOTTEN = 86_400.0  # seconds; an older temporary file was left by a dead run
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

    def __init__(self, base: UPath, run_id: str = "") -> None:
        self.base = base
        self._run_id = run_id
        self._is_local = isinstance(base, _LOCAL)
        self._naming = threading.Lock()
        self._given: set[str] = set()
        self._is_marked = False

    def names(self, prefix: str, now: datetime, count: int) -> list[str]:
        """Free names for the pictures of one request: `{prefix}_{timestamp}.png`, with `_1`, `_2` for several.

        A name is given once: prompts that share a prefix get different milliseconds, also where it differs by case.
        """
        with self._naming:
            while True:
                stem = f"{prefix}_{time_stamp(now)}"
                names = [f"{stem}.png"] if count == 1 else [f"{stem}_{index}.png" for index in range(1, count + 1)]
                marks = {_without_case(name) for name in names}
                if self._given.isdisjoint(marks) and not any((self.base / name).exists() for name in names):
                    self._given |= marks
                    return names
                now += timedelta(milliseconds=1)

    def save(self, name: str, data: bytes) -> None:
        """Write a picture, whole or not at all.

        Raises:
            StoreError: the name is taken, the disk is full, the folder is read-only, …
        """
        try:
            if self._is_away():
                raise StoreError(f"{name} could not be saved in {self.base}: the folder was moved or unmounted")
            self.base.mkdir(parents=True, exist_ok=True)
            if self._is_local:
                _write_local(self.base.path, self._temporary(), name, data)
            elif (self.base / name).exists():
                raise FileExistsError(errno.EEXIST, "there is such a file already")
            else:
                (self.base / name).write_bytes(data)  # an object store shows an object only when it is whole
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
            raise StoreError(f"{name} could not be saved in {self.base}: {advice}") from error

    def read(self, name: str) -> bytes:
        """A picture's bytes.

        Raises:
            PictureLostError: it is not there or cannot be read.
        """
        try:
            return (self.base / name).read_bytes()
        except OSError as error:
            raise PictureLostError(f"{name} could not be read from {self.base}: {error.strerror or error}") from error

    def problem(self) -> str | None:
        """Why no picture could be saved now, found by writing and removing a small file; `None` if one can be."""
        name = self._temporary()
        try:
            self.base.mkdir(parents=True, exist_ok=True)
            (self.base / name).write_bytes(bytes(_PROBE_BYTES))
            (self.base / name).unlink()
        except OSError as error:
            with contextlib.suppress(OSError):
                (self.base / name).unlink()
            return (
                f"No picture can be saved in {self.base}: {_ADVICE.get(error.errno or 0, error.strerror or str(error))}"
            )
        return None

    def room(self, requests: int) -> str | None:
        """Why there is no space for so many more pictures; `None` if there is, or if it is unknown."""
        if not self._is_local:
            return None
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self.base.path).free
            if free < requests * _ROOM:
                return f"Less than {requests * _ROOM // 1_000_000} MB are free for {self.base}: {_ADVICE[errno.ENOSPC]}"
        return None

    def sweep(self, is_gone: Callable[[str], bool] = lambda _: False) -> None:
        """Remove partial files of killed runs.

        Args:
            is_gone: whether the run of this id is known to be dead; files of other runs are removed after a day.
        """
        if self._is_local:
            _sweep_local(Path(self.base.path), is_gone)

    def _temporary(self) -> str:
        return f"{_TEMPORARY}{self._run_id}-{secrets.token_hex(8)}.tmp"

    def listing(self) -> Listing:
        """List all pictures. Never fails: what cannot be read is unknown."""
        try:
            return _local_listing(self.base.path) if self._is_local else self._remote_listing()
        except (FileNotFoundError, NotADirectoryError):
            return Listing()
        except Exception as error:  # noqa: BLE001 - each fsspec store has errors of its own
            words = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return Listing(problem=f"{self.base} cannot be read: {one_line(words, 200)}")

    def look(self, names: Iterable[str]) -> Listing:
        """Like `listing`, of these pictures alone."""
        sizes: dict[str, int] = {}
        try:
            if self._is_away():
                return Listing(problem=f"{self.base} was moved or unmounted")
            for name in names:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    sizes[name] = (self.base / name).stat().st_size
        except Exception as error:  # noqa: BLE001 - each fsspec store has errors of its own
            return Listing(problem=f"{self.base} cannot be read: {one_line(str(error), 200)}")
        return _listing(sizes)

    def _is_away(self) -> bool:
        """Whether the folder whose mark was read or written is no longer there."""
        return self._is_marked and not (self.base / _IDENTITY).exists()

    def _remote_listing(self) -> Listing:
        self.base.fs.invalidate_cache()  # other processes write there, too
        entries = self.base.fs.ls(self.base.path, detail=True)
        files = {e["name"].rpartition("/")[2]: e["size"] for e in entries if e["type"] == "file"}
        return _listing({name: size for name, size in files.items() if name.endswith(_PICTURE)})

    def identity(self) -> str | None:
        """The id of this folder, by which the ledger recognises it; `None` if it has none.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            identity = str(json.loads((self.base / _IDENTITY).read_bytes())["id"])
        except (FileNotFoundError, NotADirectoryError, ValueError, LookupError, TypeError):
            return None
        except IsADirectoryError as error:
            raise StoreError(f"{self.base / _IDENTITY} is no file: remove it, then start again") from error
        except Exception as error:
            raise StoreError(f"{self.base} cannot be read: {one_line(str(error), 200)}") from error
        self._is_marked = True
        return identity

    def set_identity(self, identity: str) -> None:
        """Write the id of this folder.

        Raises:
            StoreError: it cannot be written.
        """
        about = "This folder's mark: the ledger knows by it which folder its pictures are in. Leave it here."
        try:
            self.base.mkdir(parents=True, exist_ok=True)
            (self.base / _IDENTITY).write_bytes(json.dumps({"id": identity, "about": about}).encode())
            self._is_marked = True
        except OSError as error:
            raise StoreError(f"{_IDENTITY} could not be written in {self.base}: {error.strerror or error}") from error

    def location(self, name: str) -> str:
        """The path or URL of a picture, as text."""
        return str(self.base / name)


def _without_case(name: str) -> str:
    """The same for names that are one file on a file system without case, or with one way to write an accent."""
    return unicodedata.normalize("NFC", name).casefold()


def _write_local(folder: str, temporary_name: str, name: str, data: bytes) -> None:
    temporary = os.path.join(folder, temporary_name)  # noqa: PTH118
    final = os.path.join(folder, name)  # noqa: PTH118
    try:
        with open(temporary, "xb") as file:  # noqa: PTH123
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _move_without_replacing(temporary, final)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
    _sync_folder(folder)


def _sweep_local(folder: Path, is_gone: Callable[[str], bool]) -> None:
    for file in folder.glob(f"{_TEMPORARY}*.tmp"):
        run_id = file.name.removeprefix(_TEMPORARY).rpartition("-")[0]
        with contextlib.suppress(OSError):
            if is_gone(run_id) or time.time() - file.stat().st_mtime > _FORGOTTEN:
                file.unlink()


def _move_without_replacing(source: str, target: str) -> None:
    """A rename that fails where the target exists; where there are no hard links, a checked rename."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "there is such a file already") from None
        os.rename(source, target)  # noqa: PTH104


def _sync_folder(folder: str) -> None:
    """Make the new name itself survive a power cut; not all systems let a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _local_listing(folder: str) -> Listing:
    sizes: dict[str, int] = {}
    unknown: dict[str, str] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith(_PICTURE) or not _is_text(entry.name):
                continue
            try:
                status = entry.stat()
            except OSError as error:  # moved at this moment, a link into a folder that is not mounted, a loop, …
                unknown[entry.name] = f"it cannot be read: {error.strerror or error}"
                continue
            if stat.S_ISREG(status.st_mode):
                sizes[entry.name] = status.st_size
    return _listing(sizes, unknown)


def _is_text(name: str) -> bool:
    """Whether a name can be written into the ledger; no picture of ours has one that is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listing(sizes: Mapping[str, int], unknown: Mapping[str, str] | None = None) -> Listing:
    """The listing of these files; empty ones are unknown: cloud drives leave such placeholders."""
    empty = {name: "it is empty: a placeholder of a cloud drive?" for name, size in sizes.items() if not size}
    return Listing({name: size for name, size in sizes.items() if size}, {**(unknown or {}), **empty})
