"""The gallery's folder: page, data and thumbnails, from one look at ledger and pictures."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import quote

from duomi_pipeline.engine import Plan, Session
from duomi_pipeline.gallery.records import read_cards
from duomi_pipeline.gallery.shards import write_data
from duomi_pipeline.gallery.thumbnails import make_thumbnails
from duomi_pipeline.maintenance.quality import flags_of


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
    """

    index: Path
    prompts: int
    pictures: int
    thumbnails_made: int


def write_gallery(
    session: Session, plan: Plan, folder: Path, progress: Callable[[int, int], None] | None = None
) -> GalleryReport:
    """Write the gallery of a plan; thumbnails that are there are kept.

    Args:
        session: whose ledger and pictures are shown.
        plan: of all prompts.
        folder: where `index.html` goes.
        progress: called with how many of how many thumbnails are done.

    Raises:
        GalleryError: the pictures lie where a page on this machine cannot point to.
    """
    pictures = picture_folder(session)
    base = relative_address(pictures, folder)
    cards = list(read_cards(session, plan, session.store.listing().sizes, flags_of(session, plan)))
    shown = {file.file for card in cards for version in card.versions for file in version.files}
    made = make_thumbnails(pictures, folder / "thumbnails", shown, progress)
    about = {
        "pictures": base,
        "currency": session.settings.currency,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "files_shown": len(shown),
    }
    write_data(cards, folder / "data", about)
    copy_page(folder)
    return GalleryReport(folder / "index.html", len(cards), len(shown), made)


def copy_page(folder: Path) -> None:
    """Put the page itself, which never differs, beside its data."""
    with as_file(files(__package__) / "page") as page:
        for file in page.iterdir():
            shutil.copyfile(file, folder / file.name)


def picture_folder(session: Session) -> Path:
    """The folder of pictures as a local path.

    Raises:
        GalleryError: it is not local.
    """
    base = session.store.base
    if base.protocol not in ("", "file", "local"):
        raise GalleryError(
            f"DUOMI_IMAGE_DIR={session.settings.image_dir} is remote: a page on this machine cannot show its pictures. "
            "Copy them to a local folder and set DUOMI_IMAGE_DIR to it for the gallery."
        )
    return Path(base.path)


def relative_address(pictures: Path, folder: Path) -> str:
    """The address of the folder of pictures as seen from the gallery; both may be moved together.

    Raises:
        GalleryError: there is no relative way, as between two drives.
    """
    try:
        way = os.path.relpath(pictures.resolve(), folder.resolve())
    except ValueError as error:
        raise GalleryError(f"{folder} and {pictures} lie on different drives; set DUOMI_GALLERY_DIR") from error
    return quote(Path(way).as_posix()) + "/"
