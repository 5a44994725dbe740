"""The state of a prompt: one function decides, and everything that asks uses it."""

from collections.abc import Mapping
from enum import StrEnum

from duomi_pipeline.duomi.policy import policy_of
from duomi_pipeline.ledger import Purchase, Selection
from duomi_pipeline.prompts import Prompt


class State(StrEnum):
    """See the table in `docs/architecture.md`."""

    MISSING = "missing"
    CHANGED = "changed"
    OUTDATED = "outdated"
    CURRENT = "current"
    FAILED_FOR_GOOD = "failed_for_good"
    FAILED_FOR_NOW = "failed_for_now"


NOT_CURRENT = frozenset(State) - {State.CURRENT}
# What is generated without being asked for each: outdated pictures cost money, refused prompts would be refused again.
FAILED = frozenset({State.FAILED_FOR_GOOD, State.FAILED_FOR_NOW})
GENERATED_BY_ITSELF = frozenset({State.MISSING, State.CHANGED})


def decide(
    prompt: Prompt,
    request_key: str,
    selection: Selection | None,
    purchase: Purchase | None,
    sizes: Mapping[str, int],
) -> State:
    """The state of one prompt.

    Args:
        prompt: as its source has it now.
        request_key: of what would be asked for it now.
        selection: its current pictures.
        purchase: the latest purchase of that request.
        sizes: every picture file on disk with its size in bytes.
    """
    present = selection is not None and files_present(selection, sizes)
    if selection is not None and is_current(selection, request_key, sizes):
        return State.CURRENT
    if purchase is not None and purchase.state == "refused":
        return State.FAILED_FOR_GOOD
    if purchase is not None and purchase.state == "failed":
        # What was, or may have been, billed without a picture: only the user may risk that money once more.
        policy = policy_of(purchase.error_class)
        return State.FAILED_FOR_NOW if policy and policy.again_by_itself else State.FAILED_FOR_GOOD
    if selection is None or not present:
        return State.MISSING
    return State.CHANGED if selection.prompt_version != prompt.version else State.OUTDATED


def is_current(selection: Selection, request_key: str, sizes: Mapping[str, int]) -> bool:
    """Whether a prompt's pictures are those of the request that would be sent now."""
    return selection.request_key == request_key and files_present(selection, sizes)


def files_present(selection: Selection, sizes: Mapping[str, int]) -> bool:
    """Whether every file of a selection is there with the size that was written. A record is only a claim."""
    return bool(selection.files) and all(sizes.get(file.file) == file.bytes for file in selection.files)
