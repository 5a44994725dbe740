"""The state of a prompt. `decide` is the only place with this rule; plans, reports and Dagster use it."""

from collections.abc import Sequence
from enum import StrEnum

from duomi_pipeline.duomi.policy import policy_of
from duomi_pipeline.images import Listing, Presence
from duomi_pipeline.ledger import PictureFile, Purchase, PurchaseState, Selection
from duomi_pipeline.prompts import Prompt


class State(StrEnum):
    """What a prompt needs; `README.md` explains each state."""

    MISSING = "missing"
    CHANGED = "changed"
    OUTDATED = "outdated"
    CURRENT = "current"
    FAILED_FOR_GOOD = "failed_for_good"
    FAILED_FOR_NOW = "failed_for_now"
    UNKNOWN = "unknown"


# Unknown prompts may be current: they wait until the folder can be read again.
NOT_CURRENT = frozenset(State) - {State.CURRENT, State.UNKNOWN}
FAILED = frozenset({State.FAILED_FOR_GOOD, State.FAILED_FOR_NOW})
NOT_THERE = FAILED | {State.UNKNOWN}  # without a picture, or with one that cannot be read now
# Generated without an explicit choice. Not outdated ones, which cost money, nor failed ones, which may fail again.
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
        prompt: the prompt as it is now.
        request_key: key of the request that would be sent for it now.
        selection: its current pictures.
        purchase: the latest purchase of that request.
        listing: of the folder of pictures.
    """
    presence = presence_of(selection.files, listing) if selection is not None else Presence.GONE
    if selection is not None and selection.request_key == request_key and presence is not Presence.GONE:
        return State.CURRENT if presence is Presence.PRESENT else State.UNKNOWN
    if purchase is not None and purchase.state == PurchaseState.REFUSED:
        return State.FAILED_FOR_GOOD
    if purchase is not None and purchase.state == PurchaseState.FAILED:
        # A failure that was or may have been billed is retried only if the user chooses it.
        policy = policy_of(purchase.error_class)
        return State.FAILED_FOR_NOW if policy and policy.retried_automatically else State.FAILED_FOR_GOOD
    if selection is None or presence is Presence.GONE:
        return State.MISSING
    return State.CHANGED if selection.prompt_version != prompt.version else State.OUTDATED


def is_current(selection: Selection, request_key: str, listing: Listing) -> bool:
    """Whether a prompt's pictures belong to the request that would be sent now, and exist on disk."""
    return selection.request_key == request_key and presence_of(selection.files, listing) is Presence.PRESENT


def presence_of(files: Sequence[PictureFile], listing: Listing) -> Presence:
    """Whether all these files exist with their recorded sizes."""
    return listing.presence_of_all((file.file, file.bytes) for file in files)
