"""Compares ledger and folder: files without records, records without files. The writes are in `ledger.repair`."""

from dataclasses import dataclass

from duomi_pipeline.engine.folder import lost_pictures
from duomi_pipeline.engine.session import Session
from duomi_pipeline.engine.unknown_files import Survey as Unknown
from duomi_pipeline.engine.unknown_files import findings_of, look_into
from duomi_pipeline.images import Presence
from duomi_pipeline.images.metadata import PictureInfo
from duomi_pipeline.ledger import PictureFile


@dataclass(frozen=True)
class Survey:
    """The differences between ledger and folder.

    Attributes:
        unknown: the content of files that the ledger does not know, or knows with another size.
        gone: recorded files that do not exist or have another size; files that cannot be read are not in it.
        sizes: of all listed files in bytes, by name.
    """

    unknown: Unknown
    gone: tuple[PictureFile, ...]
    sizes: dict[str, int]

    @property
    def unrecorded(self) -> tuple[tuple[str, PictureInfo], ...]:
        """Whole pictures of ours that the ledger does not know."""
        return self.unknown.unrecorded

    @property
    def foreign(self) -> tuple[str, ...]:
        """Other PNG files in the folder, damaged ones, and copies of ours; they are left alone."""
        return self.unknown.foreign


def survey(session: Session) -> Survey:
    """Compare folder and ledger; reads only the files that the ledger does not know."""
    listing = session.store.listing()
    recorded = [file for files in session.ledger.saved_files().values() for file in files]
    sizes = {file.file: file.bytes for file in recorded}
    names = [name for name, size in listing.sizes.items() if sizes.get(name) != size]
    unknown = look_into(session.ledger, session.store, listing, names)
    renamed = {found.record for found in unknown.renamed}
    gone = (file for file in recorded if listing.presence(file.file, file.bytes) is Presence.GONE)
    return Survey(unknown, tuple(file for file in gone if file not in renamed), dict(listing.sizes))


@dataclass(frozen=True)
class Repaired:
    """What a repair did.

    Attributes:
        recorded: number of pictures recorded.
        forgotten: number of records dropped, of files that are gone.
        lost: why no record was dropped: the folder itself looks lost; empty if it does not.
    """

    recorded: int
    forgotten: int
    lost: str = ""


def repair(session: Session, found: Survey) -> Repaired:
    """Record unknown pictures and drop records of files that are gone; safe while runs are active.

    No file is changed, and recorded costs stay. If the folder itself looks lost, no record is dropped: without records
    the pictures would be bought again.

    Raises:
        StoreError: the folder cannot be read.
    """
    recorded = session.ledger.adopt(findings_of(found.unknown, found.sizes))
    if lost := lost_pictures(session.ledger, session.store, session.store.listing()):
        return Repaired(recorded, 0, lost)
    session.ledger.forget(found.gone)
    return Repaired(recorded, len(found.gone))
