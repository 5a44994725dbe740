"""The state of a prompt: one function decides, and everything that asks uses it."""

from collections.abc import Sequence
from enum import StrEnum

from duomi_pipeline.duomi.policy import policy_of
from duomi_pipeline.images import Listing, Presence
from duomi_pipeline.ledger import PictureFile, Purchase, Selection
from duomi_pipeline.prompts import Prompt


class State(StrEnum):
    """See the table in `docs/architecture.md`."""

    MISSING = "missing"
    CHANGED = "changed"
    OUTDATED = "outdated"
    CURRENT = "current"
    FAILED_FOR_GOOD = "failed_for_good"
    FAILED_FOR_NOW = "failed_for_now"
    UNKNOWN = "unknown"


# Of what is unknown nobody can tell whether it is current: it waits until the folder can be looked at again.
NOT_CURRENT = frozenset(State) - {State.CURRENT, State.UNKNOWN}
# What is generated without being asked for each: outdated pictures cost money, refused prompts would be refused again.
FAILED = frozenset({State.FAILED_FOR_GOOD, State.FAILED_FOR_NOW})
GENERATED_BY_ITSELF = frozenset({State.MISSING, State.CHANGED})


def decide(
    prompt: Prompt,
    request_key: str,
    selection: Selection | None,
    purchase: Purchase | None,
    listing: Listing,
) -> State:
    """The state of one prompt.

    Args:
        prompt: as its source has it now.
        request_key: of what would be asked for it now.
        selection: its current pictures.
        purchase: the latest purchase of that request.
        listing: of the folder of pictures.
    """
    presence = presence_of(selection.files, listing) if selection is not None else Presence.GONE
    if selection is not None and selection.request_key == request_key and presence is not Presence.GONE:
        return State.CURRENT if presence is Presence.PRESENT else State.UNKNOWN
    if purchase is not None and purchase.state == "refused":
        return State.FAILED_FOR_GOOD
    if purchase is not None and purchase.state == "failed":
        # What was, or may have been, billed without a picture: only the user may risk that money once more.
        policy = policy_of(purchase.error_class)
        return State.FAILED_FOR_NOW if policy and policy.again_by_itself else State.FAILED_FOR_GOOD
    if selection is None or presence is Presence.GONE:
        return State.MISSING
    return State.CHANGED if selection.prompt_version != prompt.version else State.OUTDATED


def is_current(selection: Selection, request_key: str, listing: Listing) -> bool:
    """Whether a prompt's pictures are those of the request that would be sent now. A record is only a claim."""
    return selection.request_key == request_key and presence_of(selection.files, listing) is Presence.PRESENT


def presence_of(files: Sequence[PictureFile], listing: Listing) -> Presence:
    """Whether pictures that belong together are all there, with the sizes that were written."""
    return listing.presence_of_all((file.file, file.bytes) for file in files)
