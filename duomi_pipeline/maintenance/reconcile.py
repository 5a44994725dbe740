"""Ledger and folder compared: files without records, records without files, and how both are repaired."""

from dataclasses import dataclass

from duomi_pipeline.engine.adoption import Survey as Unknown
from duomi_pipeline.engine.adoption import findings_of, look_into
from duomi_pipeline.engine.folder import lost_pictures
from duomi_pipeline.engine.session import Session
from duomi_pipeline.images import PictureInfo, Presence
from duomi_pipeline.ledger import PictureFile


@dataclass(frozen=True)
class Survey:
    """What does not fit together.

    Attributes:
        unknown: what the files turned out to be that the ledger does not know as they are.
        gone: recorded files that are not there, or of another size; those of which nobody can tell are not among them.
        sizes: of the files that were looked at, by name.
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
        recorded: pictures that the ledger knows now and did not know.
        forgotten: records of files that are gone.
        lost: why nothing was forgotten, empty where it was: the folder itself looks lost.
    """

    recorded: int
    forgotten: int
    lost: str = ""


def repair(session: Session, found: Survey) -> Repaired:
    """Record what is unrecorded and forget what is gone; safe while runs work. No file is touched, no cost forgotten.

    Where the folder itself looks lost, nothing is forgotten: without their records the pictures would be bought again.

    Raises:
        StoreError: the folder cannot be looked at.
    """
    recorded = session.ledger.adopt(findings_of(found.unknown, found.sizes))
    if lost := lost_pictures(session.ledger, session.store, session.store.listing()):
        return Repaired(recorded, 0, lost)
    session.ledger.forget(found.gone)
    return Repaired(recorded, len(found.gone))
