"""Writes the gallery's folder: page, data (`data`) and thumbnails (`thumbnails`), from one plan."""

import os
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from upath import UPath

from duomi_pipeline.common.places import Place, publish_changed, shown
from duomi_pipeline.engine import Plan, Session
from duomi_pipeline.gallery.data import write_data
from duomi_pipeline.gallery.edition import last_edition
from duomi_pipeline.gallery.spending import write_spending
from duomi_pipeline.gallery.table import Table
from duomi_pipeline.gallery.thumbnails import make_thumbnails
from duomi_pipeline.images import Listing


class GalleryError(Exception):
    """The gallery cannot be written; the text says why and what to do."""


@dataclass(frozen=True)
class GalleryReport:
    """What was written.

    Attributes:
        index: the page to open.
        prompts: cards, whatever their state.
        pictures: files that the page shows, all versions.
        thumbnails_made: those that were not there yet.
        is_new: whether the page shows anything else than before.
    """

    index: Place
    prompts: int
    pictures: int
    thumbnails_made: int
    is_new: bool


def write_gallery(
    session: Session, plan: Plan, folder: Place, progress: Callable[[int, int], None] | None = None
) -> GalleryReport:
    """Write the gallery of a plan; thumbnails that are there are kept, and nothing is written where nothing changed.

    Args:
        session: whose ledger and pictures are shown.
        plan: of all prompts.
        folder: where `index.html` goes.
        progress: called with the number of thumbnails done and the total.

    Raises:
        GalleryError: the pictures lie where a page there cannot point to, or their folder cannot be read.
        LedgerError: a prompt was retired, or its picture removed, since the plan was made.
        OSError: the page cannot be written.
    """
    base_of_pictures = session.store.base
    pictures = Path(base_of_pictures.path) if base_of_pictures.protocol in ("", "file", "local") else base_of_pictures
    base = relative_address(pictures, folder)
    listing = session.store.listing()
    if listing.problem:
        raise GalleryError(f"The gallery was not changed, for nobody knows which pictures there are: {listing.problem}")
    table = Table(session, plan, _sizes(session, listing), last_edition(folder))
    made = make_thumbnails(pictures, folder / "thumbnails", table.files, progress)
    about = {"pictures": base, "currency": session.settings.currency, "files_shown": len(table.files)}
    is_new = write_data(folder, table.marks, table.rows, about, table.about)
    is_new |= write_spending(session.ledger, folder, session.settings.currency)
    copy_page(folder)
    return GalleryReport(folder / "index.html", len(table.marks), len(table.files), made, is_new=is_new or made > 0)


def _sizes(session: Session, listing: Listing) -> Mapping[str, int]:
    """The sizes of the pictures by name; one that nobody can look at is taken to be there as it was written."""
    if not listing.unknown:
        return listing.sizes
    written = {name: size for name, size in session.ledger.recorded_files() if name in listing.unknown}
    return {**written, **listing.sizes}


def copy_page(folder: Place) -> None:
    """Put the page itself, which never differs, beside its data; what it loads before it."""
    for file in sorted((files(__package__) / "page").iterdir(), key=lambda file: file.name == "index.html"):
        publish_changed(folder / file.name, file.read_bytes())


def relative_address(pictures: Place, folder: Place) -> str:
    """The address of the folder of pictures as seen from the gallery; both may be moved together.

    Raises:
        GalleryError: there is none, as between a bucket and a disk, two buckets or two drives.
    """
    if _root(pictures) != _root(folder):
        raise GalleryError(
            f"A page in {shown(folder)} cannot show pictures in {shown(pictures)}: set DUOMI_GALLERY_DIR to a place in "
            f"the same bucket or on the same disk, such as {shown(pictures.parent / 'gallery')}."
        )
    if isinstance(pictures, UPath) and isinstance(folder, UPath):
        return quote(posixpath.relpath(pictures.path, folder.path)) + "/"
    try:
        way = os.path.relpath(str(pictures.resolve()), str(folder.resolve()))
    except ValueError as error:
        raise GalleryError(f"{folder} and {pictures} lie on different drives; set DUOMI_GALLERY_DIR") from error
    return quote(Path(way).as_posix()) + "/"


def _root(place: Place) -> tuple[str, str]:
    """The protocol and bucket of a place; nothing for one on disk."""
    return ("", "") if isinstance(place, Path) else (place.protocol, place.path.strip("/").split("/")[0])
