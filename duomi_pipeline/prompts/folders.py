"""Folders of prompt files: on disk, or at an fsspec URL such as `s3://bucket/prompts`. Their content: `json_files`."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from duomi_pipeline.common.places import is_object_storage, remote_place, shown
from duomi_pipeline.prompts.marks import SETTLED, mark_of
from duomi_pipeline.prompts.prompt import SourceError

if TYPE_CHECKING:
    from upath import UPath

_AT_ONCE = 200  # files that are fetched side by side
_MAX_WORDS = 300  # characters of an error
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")
_MARKS = ("ETag", "etag", "md5Hash", "md5", "generation", "VersionId", "content_settings")


class Seen(NamedTuple):
    """State of a file by which a change is noticed, without reading it.

    Attributes:
        mark: another one after every change; on disk made of inode, size and times.
        bytes: its size.
        changed_at: seconds since 1970; 0 where a stored file is whole as soon as it is seen.
        is_settled: whether a later change would give another mark, however soon.
    """

    mark: int
    bytes: int
    changed_at: float
    is_settled: bool


class NotAFileError(Exception):
    """There is a name, but no file that can be read under it; the text says why."""


class IsAFolderError(NotAFileError):
    """The name is that of a folder."""

    def __init__(self) -> None:
        super().__init__("not a file")


class PromptFolder(Protocol):
    """A folder as `read_folder` reads it."""

    def files(self) -> Iterator[tuple[str, Seen | Exception]]:
        """What is in it, in any order, with the state of a file, or why it has none; a missing folder counts as empty.

        Raises:
            SourceError: it exists but cannot be listed, or nobody can tell.
        """
        ...

    def seen(self, name: str) -> Seen:
        """State of a file now.

        Raises:
            OSError, NotAFileError: it is gone, or no file.
        """
        ...

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | Exception]]:
        """Content of files, or `OSError` or `NotAFileError`, one after the other."""
        ...


def open_folder(place: Path | str, max_bytes: int) -> PromptFolder:
    """A folder by its path or URL.

    Args:
        place: a path, or an fsspec URL.
        max_bytes: larger files are not read.

    Raises:
        SourceError: the package for this kind of URL is not installed.
    """
    return LocalFolder(place, max_bytes) if isinstance(place, Path) else UrlFolder(place, max_bytes)


class LocalFolder:
    """A folder on disk."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def files(self) -> Iterator[tuple[str, Seen | Exception]]:
        """See `PromptFolder`."""
        try:
            # Of an open folder: a quarter faster than by names with the whole path.
            with ExitStack() as stack:
                folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, folder)
                for name in os.listdir(folder):  # noqa: PTH208
                    try:
                        found = os.stat(name, dir_fd=folder)
                    except OSError:  # a broken or circular link
                        yield name, NotAFileError("not a file")
                    else:
                        yield name, IsAFolderError() if S_ISDIR(found.st_mode) else _state(found)
        except FileNotFoundError:
            return
        except OSError as error:
            raise SourceError(
                f"{self._folder}: {error.strerror}. Set DUOMI_PROMPT_DIR to a readable folder."
            ) from error

    def seen(self, name: str) -> Seen:
        """See `PromptFolder`."""
        try:
            return _state((self._folder / name).stat())
        except OSError as error:
            raise NotAFileError("not a file") from error

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | Exception]]:
        """See `PromptFolder`."""
        for name in names:
            yield name, self._content(os.path.join(self._folder, name))  # noqa: PTH118

    def _content(self, path: str) -> bytes | Exception:
        try:
            found = os.stat(path)  # noqa: PTH116 - for each of 100,000 files, and twice as fast
            if not S_ISREG(found.st_mode):
                return NotAFileError("not a file")
            if found.st_size > self._max_bytes:
                return _too_large(self._max_bytes)
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                return file.read()
        except OSError as error:
            return error


class UrlFolder:
    """A folder at an fsspec URL: listed in one go, and files that changed are fetched side by side."""

    def __init__(self, url: str, max_bytes: int) -> None:
        self._shown, self._max_bytes = shown(url), max_bytes
        folder = open_url(url)
        self._files, self._path = folder.fs, folder.path.rstrip("/")
        self._is_store = is_object_storage(folder)
        self._listed: Mapping[str, Seen] = {}

    def files(self) -> Iterator[tuple[str, Seen | Exception]]:
        """See `PromptFolder`."""
        try:
            self._files.invalidate_cache()
            entries = self._entries()
        except Exception as error:  # each file system raises its own errors
            raise SourceError(f"{self._shown} cannot be listed: {_words(error)}. Check DUOMI_PROMPT_DIR.") from error
        found = {str(entry["name"]).rstrip("/").rpartition("/")[2]: entry for entry in entries}
        self._listed = {name: _seen(entry) for name, entry in found.items() if entry.get("type") == "file"}
        yield from self._listed.items()
        here = self._path.rpartition("/")[2]  # some file systems list the folder itself, too
        yield from ((name, IsAFolderError()) for name in found.keys() - self._listed.keys() - {here, ""})

    def seen(self, name: str) -> Seen:
        """See `PromptFolder`."""
        return self._listed[name]

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | Exception]]:
        """See `PromptFolder`."""
        small = [name for name in names if self._listed[name].bytes <= self._max_bytes]
        yield from ((name, _too_large(self._max_bytes)) for name in set(names).difference(small))
        for start in range(0, len(small), _AT_ONCE):
            some = small[start : start + _AT_ONCE]
            try:
                # Of all bulk reads the one that takes no name for a pattern.
                paths = [f"{self._path}/{name}" for name in some]
                found = self._files.cat_ranges(paths, None, None, on_error="return")
            except Exception as error:
                raise SourceError(f"{self._shown} cannot be read: {_words(error)}. Check DUOMI_PROMPT_DIR.") from error
            for name, content in zip(some, found, strict=True):
                yield name, content if isinstance(content, bytes) else NotAFileError(_words(content))

    def _entries(self) -> Sequence[Mapping[str, Any]]:
        try:
            return list(self._files.ls(self._path, detail=True))
        except FileNotFoundError:
            if self._is_store:  # it has no empty folders; but a bucket that is not there is none
                self._files.ls(_bucket(self._path), detail=True)
            return []


def add_to_url(url: str, name: str, data: bytes) -> None:
    """Write a new file into the folder at an URL.

    Raises:
        FileExistsError: there is one with this name.
        SourceError: it cannot be written.
    """
    folder = open_url(url)
    path = folder / name
    try:
        is_taken = path.exists()
        has_bucket = not is_object_storage(folder) or folder.fs.exists(_bucket(folder.path))
        if not is_taken and has_bucket:
            path.write_bytes(data)
    except Exception as error:
        raise SourceError(f"{shown(url)} cannot be written: {_words(error)}. Check DUOMI_PROMPT_DIR.") from error
    if is_taken:
        raise FileExistsError(name)
    if not has_bucket:  # none is ever made: it would be a mistyped name
        raise SourceError(f"{shown(url)} does not exist. Check DUOMI_PROMPT_DIR.")


def open_url(url: str) -> "UPath":
    """An address as a path.

    Raises:
        SourceError: the package for this kind of URL is not installed, or there is no such kind.
    """
    try:
        return remote_place(url)
    except (ValueError, TypeError) as error:
        raise SourceError(f"{shown(url)} cannot be used: {str(error).rstrip('.')}. Check DUOMI_PROMPT_DIR.") from error


def _bucket(path: str) -> str:
    return path.strip("/").split("/")[0]


def _too_large(most: int) -> NotAFileError:
    return NotAFileError(f"larger than {most // 1_000_000} MB")


def _state(found: os.stat_result) -> Seen:
    """State of a file on disk. Nobody can set the second time: an edit that keeps size and first time is seen."""
    mark = mark_of(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    is_settled = time.time() - max(found.st_mtime, found.st_ctime) > SETTLED
    return Seen(mark, found.st_size, found.st_mtime, is_settled)


def _seen(entry: Mapping[str, Any]) -> Seen:
    """State of a listed file; a store that gives marks of the content, such as ETags, shows only whole files."""
    marks = [str(entry[name]) for name in _MARKS if entry.get(name)]
    when = next((entry[name] for name in _TIMES if entry.get(name)), 0.0)
    size = int(entry.get("size") or 0)
    seconds = when.timestamp() if hasattr(when, "timestamp") else when
    changed_at = 0.0 if marks or not isinstance(seconds, int | float) else seconds
    return Seen(
        mark_of(str(entry["name"]), str(when), size, marks), size, changed_at, time.time() - changed_at > SETTLED
    )


def _words(error: object) -> str:
    """An error in one line without a full stop, with nothing of an address."""
    return f"{type(error).__name__}: {shown(' '.join(str(error).split()))}"[:_MAX_WORDS].rstrip(".: ")
