"""Adopt pictures: record files in the folder that the ledger does not know, or knows with another size.

So after a lost ledger, a renamed or edited file or a copied folder nothing is bought again. What such files are is
found in `unknown_files`.
"""

import contextlib
from collections.abc import Set
from dataclasses import replace

from duomi_pipeline.images import ImageStore, Listing
from duomi_pipeline.ledger import Ledger, LedgerError, Mark

_NOTE = "adopted"  # the fact by which it is known that there is nothing to adopt


def adopt(ledger: Ledger, store: ImageStore, listing: Listing, recorded: Set[tuple[str, int]]) -> tuple[Listing, int]:
    """Record unknown pictures in the ledger; files that are no pictures of ours are remembered, too.

    Args:
        recorded: name and size of all recorded files.

    Returns:
        The listing, with unreadable files marked as unknown, and the number of adopted pictures.
    """
    foreign = ledger.foreign_files()
    # A copy of a picture is remembered as foreign; it is the picture itself once the original is gone.
    gone = {size for _, size in recorded - listing.sizes.items()}
    new = listing.sizes.items() - recorded
    names = [name for name, size in new if foreign.get(name) != size or size in gone]
    if not names:
        return listing, 0
    # Imported here: it needs Pillow, and in most plans there is nothing new.
    from duomi_pipeline.engine.unknown_files import findings_of, look_into  # noqa: PLC0415

    found = look_into(ledger, store, listing, names)
    adopted = ledger.adopt(findings_of(found, listing.sizes))
    return replace(listing, unknown={**listing.unknown, **dict(found.unreadable)}), adopted


def has_adopted(ledger: Ledger, listing: Listing) -> bool:
    """Whether `adopt` found nothing new in this folder when folder and records were as they are now."""
    folder = listing.digest()
    return bool(folder) and ledger.fact(_NOTE) == _note(folder, ledger.mark())


def note_adopted(ledger: Ledger, listing: Listing, mark: Mark) -> None:
    """Note that `adopt` found nothing new in this folder.

    Args:
        mark: of the ledger, from before its records were read.
    """
    folder = listing.digest()
    if folder and ledger.fact(_NOTE) != _note(folder, mark):
        with contextlib.suppress(LedgerError):  # the next plan compares all files again
            ledger.set_fact(_NOTE, _note(folder, mark))


def _note(folder: str, mark: Mark) -> str:
    return f"{folder} {mark.pictures}"
