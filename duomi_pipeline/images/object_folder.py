"""A prefix in a bucket (S3, Google Cloud Storage, Azure, … by fsspec), as the store of pictures uses it.

An object is seen only when it is whole. It is written by one call that fails where the name is taken; stores without
such a call may ignore the condition, so names have a mark of this process. No bucket is ever made: a wrong name would
look like an empty folder, and everything would be bought again.
"""

import secrets
from collections.abc import Callable

from upath import UPath

from duomi_pipeline.common.places import headers_of, is_object_storage
from duomi_pipeline.images.listing import PICTURE, Listing, listing_of


class ObjectFolder:
    """Objects below one prefix.

    Attributes:
        mark: appended to the names of pictures, so that two hosts never choose the same in one millisecond.
    """

    def __init__(self, base: UPath) -> None:
        self.mark = f"_{secrets.token_hex(4)}"
        self._fs = base.fs
        self._path = base.path.rstrip("/")
        self._base = base
        self._has_buckets = is_object_storage(base)

    def has(self, name: str) -> bool:
        """Never: whether a name is taken is seen when it is written."""
        return False

    def write_new(self, name: str, data: bytes) -> None:
        """Write an object by one call.

        Raises:
            FileExistsError: there is one, with other bytes.
            OSError: it cannot be written.
        """
        try:
            self._fs.pipe_file(self._object(name), data, mode="create", **headers_of(self._base / name))
        except FileExistsError:
            if self.read(name) != data:  # else the store took it, its answer was lost, and the library asked again
                raise
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no {self._bucket}: check its name, or create it") from None

    def read(self, name: str) -> bytes:
        """An object's bytes.

        Raises:
            OSError: it cannot be read.
        """
        return bytes(self._fs.cat_file(self._object(name)))

    def size(self, name: str) -> int:
        """An object's size in bytes.

        Raises:
            FileNotFoundError: it is not there.
        """
        self._fs.invalidate_cache(self._path)  # other processes write there, too
        return int(self._fs.info(self._object(name))["size"])

    def remove(self, name: str) -> None:
        """Remove an object."""
        self._fs.rm_file(self._object(name))

    def listing(self) -> Listing:
        """All pictures.

        Raises:
            FileNotFoundError: there is no such bucket.
            OSError: it cannot be listed.
        """
        self._fs.invalidate_cache()
        try:
            entries = self._fs.ls(self._path, detail=True)
        except FileNotFoundError:
            if self._has_buckets:
                self._check_bucket()
            return Listing()
        files = {e["name"].rpartition("/")[2]: e["size"] for e in entries if e["type"] == "file"}
        return listing_of({name: size for name, size in files.items() if name.endswith(PICTURE)})

    def try_to_write(self, size: int) -> None:
        """Write and remove a small object.

        Raises:
            OSError: no picture could be saved now.
        """
        name = f".duomi-{secrets.token_hex(8)}.tmp"
        self.write_new(name, bytes(size))
        self.remove(name)

    def free(self) -> int | None:
        """Nobody can tell."""
        return None

    def sweep(self, is_gone: Callable[[str], bool]) -> None:
        """Nothing: there are no partial objects."""

    def _check_bucket(self) -> None:
        try:
            self._fs.ls(self._bucket)
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no {self._bucket}: check its name, or create it") from None

    @property
    def _bucket(self) -> str:
        return str(self._path).lstrip("/").split("/")[0]

    def _object(self, name: str) -> str:
        return f"{self._path}/{name}"
