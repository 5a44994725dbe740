"""A folder on a local or mounted file system, as the store of pictures uses it."""

import contextlib
import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

from duomi_pipeline.images.listing import PICTURE, Listing, listing_of

_TEMPORARY = ".duomi-"
_FORGOTTEN = 86_400.0  # seconds; an older temporary file was left by a dead run


class LocalFolder:
    """Files of one folder; made with the first one.

    Attributes:
        mark: appended to the names of pictures; names that are taken are seen here, so none is needed.
    """

    mark = ""

    def __init__(self, path: str, run_id: str) -> None:
        self._path = path
        self._run_id = run_id

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return os.path.exists(self._file(name))  # noqa: PTH110 - once per picture, and twice as fast

    def write_new(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            FileExistsError: there is one.
            OSError: it cannot be written.
        """
        Path(self._path).mkdir(parents=True, exist_ok=True)
        temporary = self._file(self._temporary())
        try:
            with open(temporary, "xb") as file:  # noqa: PTH123
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _move_without_replacing(temporary, self._file(name))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)  # noqa: PTH108
        _sync_folder(self._path)

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            OSError: it cannot be read.
        """
        return Path(self._file(name)).read_bytes()

    def size(self, name: str) -> int:
        """A file's size in bytes.

        Raises:
            FileNotFoundError, NotADirectoryError: it is not there.
            OSError: nobody can tell.
        """
        return Path(self._file(name)).stat().st_size

    def remove(self, name: str) -> None:
        """Remove a file that is there or not."""
        Path(self._file(name)).unlink(missing_ok=True)

    def listing(self) -> Listing:
        """All pictures.

        Raises:
            OSError: the folder cannot be listed.
        """
        sizes: dict[str, int] = {}
        unknown: dict[str, str] = {}
        try:
            folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return Listing()
        try:
            # Of an open folder: a quarter faster than by names with the whole path.
            for name in os.listdir(folder):  # noqa: PTH208
                if not name.endswith(PICTURE) or not (name.isascii() or _is_text(name)):
                    continue
                try:
                    status = os.stat(name, dir_fd=folder)
                except OSError as error:  # moved now, a link into a folder that is not mounted, a loop, …
                    unknown[name] = f"it cannot be read: {error.strerror or error}"
                    continue
                if stat.S_ISREG(status.st_mode):
                    sizes[name] = status.st_size
        finally:
            os.close(folder)
        return listing_of(sizes, unknown)

    def try_to_write(self, size: int) -> None:
        """Write and remove a small file.

        Raises:
            OSError: no picture could be saved now.
        """
        file = Path(self._file(self._temporary()))
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            file.write_bytes(bytes(size))
        finally:
            with contextlib.suppress(OSError):
                file.unlink()

    def free(self) -> int | None:
        """Bytes that are free; `None` if that cannot be told."""
        with contextlib.suppress(OSError):
            return shutil.disk_usage(self._path).free
        return None

    def sweep(self, is_gone: Callable[[str], bool]) -> None:
        """Remove partial files of killed runs, and after a day of any.

        Args:
            is_gone: whether the run of this id is known to be dead.
        """
        for file in Path(self._path).glob(f"{_TEMPORARY}*.tmp"):
            run_id = file.name.removeprefix(_TEMPORARY).rpartition("-")[0]
            with contextlib.suppress(OSError):
                if is_gone(run_id) or time.time() - file.stat().st_mtime > _FORGOTTEN:
                    file.unlink()

    def _file(self, name: str) -> str:
        return os.path.join(self._path, name)  # noqa: PTH118

    def _temporary(self) -> str:
        return f"{_TEMPORARY}{self._run_id}-{secrets.token_hex(8)}.tmp"


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


def _is_text(name: str) -> bool:
    """Whether a name can be written into the ledger; no picture of ours has one that is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
