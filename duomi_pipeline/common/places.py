"""Folders on disk, and folders in object storage by an fsspec URL such as `s3://bucket/gallery`, used alike.

No bucket is ever made: a mistyped name would look like an empty place.
"""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from duomi_pipeline.common.files import drafts, write_whole

if TYPE_CHECKING:
    from upath import UPath

Place = Union[Path, "UPath"]
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
# What a browser must know to show an object; the tables of an operating system differ.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
_OTHER = "application/octet-stream"
_NEVER_REPLACED = {".png", ".webp"}  # a browser asks for all others anew; Google Cloud Storage lets it wait an hour


def is_url(place: str) -> bool:
    """Whether a setting names a place by its URL."""
    return "://" in place


def place_of(setting: str, home: Path) -> Place:
    """The folder that a setting names; a path is relative to the home folder.

    Raises:
        ValueError: the package that speaks to it is not installed, or nobody knows such URLs.
    """
    return remote_place(setting) if is_url(setting) else home / Path(setting).expanduser()


def remote_place(url: str) -> "UPath":
    """A place by its URL, without a cache of what lies there: other machines write there, too.

    Raises:
        ValueError: the package that speaks to it is not installed, nobody knows such URLs, or there is a key in it.
    """
    scheme, _, rest = url.partition("://")
    if scheme in _EXTRAS and re.match(r"[^/]*:[^/]*@", rest):
        raise ValueError("keys have no place in an address: set the variables that docs/object_storage.md names")
    from upath import UPath  # noqa: PLC0415

    try:
        place = UPath(url, use_listings_cache=False)
        _ = place.fs  # imports the package
    except ImportError:
        extra = _EXTRAS.get(scheme)
        install = f"pip install 'duomi-pipeline[{extra}]'" if extra else f"install what fsspec needs for {scheme}://"
        raise ValueError(f"the package for {scheme}:// is not installed: {install}") from None
    return place


def shown(place: Place | str) -> str:
    """A place, or what an error says of one, without user name and password and without a query, which may be signed.

    What stands before the `@` of `abfs://container@account` is no secret.
    """
    text = re.sub(r"(?<!abfs)(?<!abfss)://[^/\s]*@", "://", str(place))
    return re.sub(r"(://[^\s?]*)\?\S*", r"\1", text)


def is_object_storage(place: "UPath") -> bool:
    """Whether a place is in a bucket: it has no empty folders, and objects are whole as soon as they are seen."""
    return place.protocol in _EXTRAS


def is_remote(place: Place) -> bool:
    """Whether a place is in object storage."""
    return not isinstance(place, Path)


def names_in(folder: Place) -> set[str]:
    """The names of the files in a folder; none if there is no such folder.

    Raises:
        OSError: it cannot be listed.
    """
    if isinstance(folder, Path):
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    with _explained(folder):
        try:
            entries = folder.fs.ls(folder.path, detail=True)
        except FileNotFoundError:
            return set()
    return {entry["name"].rpartition("/")[2] for entry in entries if entry["type"] == "file"}


def publish(place: Place, data: bytes) -> None:
    """Write a file or an object, whole or not at all, replacing an existing one.

    Raises:
        OSError: it cannot be written.
    """
    if isinstance(place, Path):
        write_whole(place, data)
        return
    with _explained(place):
        place.fs.pipe_file(place.path, data, **headers_of(place))


def publish_changed(place: Place, data: bytes) -> bool:
    """The same, but for a file or an object that holds this already. Returns whether it was written.

    Raises:
        OSError: it cannot be written.
    """
    with contextlib.suppress(OSError):
        if fetch(place) == data:
            return False
    publish(place, data)
    return True


def fetch(place: Place) -> bytes:
    """The bytes of a file or an object.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(place, Path):
        return place.read_bytes()
    with _explained(place, "no such object"):
        return bytes(place.fs.cat_file(place.path))


def remove(place: Place) -> None:
    """Remove a file or an object, if that is possible."""
    if isinstance(place, Path):
        with contextlib.suppress(OSError):
            place.unlink()
    else:
        with contextlib.suppress(Exception):  # each store has errors of its own
            place.fs.rm_file(place.path)


@contextlib.contextmanager
def replacing(*places: Place) -> Iterator[list[Path]]:
    """Local files to fill; when the block ends they replace those at the places: on disk all together, else in turn.

    Raises:
        OSError: one cannot be written.
    """
    on_disk = [place for place in places if isinstance(place, Path)]
    if len(on_disk) == len(places):
        with drafts(*on_disk, on_disk=True) as made:
            yield made
        return
    with tempfile.TemporaryDirectory(prefix="duomi-") as folder:
        filled = [Path(folder) / place.name for place in places]
        yield filled
        for place, file in zip(places, filled, strict=True):
            publish(place, file.read_bytes())


def headers_of(place: "UPath") -> dict[str, Any]:
    """Content type and caching of an object, as each package calls them."""
    kind = _TYPES.get(place.suffix, _OTHER)
    caching = None if place.suffix in _NEVER_REPLACED else "no-cache"
    extra = _EXTRAS.get(place.protocol)
    if extra == "s3":
        return {"ContentType": kind, **({"CacheControl": caching} if caching else {})}
    if extra == "gcs":
        return {"content_type": kind, **({"fixed_key_metadata": {"cache_control": caching}} if caching else {})}
    if extra == "azure":
        return {"content_settings": {"content_type": kind, "cache_control": caching}}
    return {}


@contextlib.contextmanager
def _explained(place: "UPath", not_found: str = "") -> Iterator[None]:
    """Errors of any object storage as `OSError` with its words.

    Args:
        not_found: what a 404 means; where something is written or listed, that there is no such bucket.
    """
    try:
        yield
    except FileNotFoundError:
        bucket = place.path.strip("/").split("/")[0]
        raise FileNotFoundError(not_found or f"there is no {bucket}: check its name, or create it") from None
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"{shown(place)}: {shown(words)[:300]}") from error
