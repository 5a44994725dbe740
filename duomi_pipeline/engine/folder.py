"""Whether the folder of pictures is the one that the ledger knows, and whether its pictures are still there.

An unmounted folder, another folder, or many missing pictures stop a run before its first request, so that nothing is
paid twice. A few files that were deleted by hand are generated again.
"""

import contextlib
import uuid
from collections.abc import Sequence

from duomi_pipeline.common.text import counted, sentence
from duomi_pipeline.engine.outcome import Stop, StoppedBy
from duomi_pipeline.engine.plan import PlannedPrompt, total_cost
from duomi_pipeline.engine.states import State, presence_of
from duomi_pipeline.images import ImageStore, Listing, Presence, StoreError
from duomi_pipeline.ledger import Ledger

MANY = 10  # recorded pictures that may be gone at once
SHARE = 0.05  # of all recorded pictures; more than MANY and more than this share counts as a lost folder
_MARK = "folder"
_MAKE_READABLE = "Mount the folder or make it readable (DUOMI_IMAGE_DIR), then start again."
_MEANT = (
    "or, if they are to be made and paid again: `duomi generate --regenerate-lost` "
    "(in Dagster's launchpad: `regenerate_lost: true`)"
)


def why_lost(
    ledger: Ledger, store: ImageStore, listing: Listing, entries: Sequence[PlannedPrompt], currency: str
) -> Stop | None:
    """Why nothing may be bought for these prompts: the folder looks lost. `None` where it does not."""
    if listing.problem:
        return Stop(
            StoppedBy.LOST,
            f"{sentence(listing.problem)} Nothing was bought: nobody can tell which pictures are there.",
            advice=_MAKE_READABLE,
        )
    absent = [entry for entry in entries if entry.state is not State.CURRENT]
    gone = [entry for entry in absent if _is_gone(entry, listing)]
    if not absent:
        return None
    try:
        if not gone and not _is_other_folder(ledger, store, listing):
            return None
        lost = lost_pictures(ledger, store, listing)
    except StoreError as error:
        return Stop(StoppedBy.LOST, f"{sentence(str(error))} Nothing was bought.", advice=_MAKE_READABLE)
    if not lost:
        return None
    cost = total_cost(entry.request for entry in gone)
    price = "an unknown amount" if cost is None else f"{cost:.2f} {currency}"
    again = f"; to make {counted(len(gone), 'picture')} again would cost {price}" if gone else ""
    return Stop(
        StoppedBy.LOST,
        f"{lost} Nothing was bought{again}.",
        advice=f"Mount or restore the folder (DUOMI_IMAGE_DIR), then start again; {_MEANT}.",
    )


def lost_pictures(ledger: Ledger, store: ImageStore, listing: Listing) -> str:
    """A sentence that says why the folder looks lost; empty where it does not.

    Raises:
        StoreError: the folder cannot be read.
    """
    if listing.problem:
        raise StoreError(listing.problem)
    selected = ledger.selected_files()
    missing = sum(listing.presence(name, size) is Presence.GONE for name, size in selected)
    is_other = missing > 0 and _is_other_folder(ledger, store, listing)
    if not is_other and (missing <= MANY or missing <= SHARE * len(selected)):
        return ""
    what = "it is not the folder that the ledger knows" if is_other else "nobody deletes so many by hand"
    return f"{missing:,} of {counted(len(selected), 'recorded picture')} are not in {store.base}: {what}."


def mark_folder(ledger: Ledger, store: ImageStore) -> None:
    """Write the same mark into folder and ledger, before the first picture is saved.

    Raises:
        StoreError: the mark cannot be read or written.
    """
    mark = store.identity()
    if mark is None:
        mark = store.set_identity(uuid.uuid4().hex)
    if ledger.fact(_MARK) != mark:
        ledger.set_fact(_MARK, mark)


def recognise_folder(ledger: Ledger, store: ImageStore) -> None:
    """Note in a ledger that knows no folder, such as a rebuilt one, the mark of the one its pictures were found in.

    A folder that tells no mark, or cannot, gets one before the next purchase.
    """
    with contextlib.suppress(StoreError):
        if ledger.fact(_MARK) is None and (mark := store.identity()) is not None:
            ledger.set_fact(_MARK, mark)


def _is_gone(entry: PlannedPrompt, listing: Listing) -> bool:
    return entry.selection is not None and presence_of(entry.selection.files, listing) is Presence.GONE


def _is_other_folder(ledger: Ledger, store: ImageStore, listing: Listing) -> bool:
    """Whether folder and ledger have different marks; without marks, whether the folder has no pictures at all."""
    known, mark = ledger.fact(_MARK), store.identity()
    return mark != known if known is not None else mark is None and not listing.sizes
