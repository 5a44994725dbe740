"""Flags: reasons for a person to look at a picture or prompt, though nothing failed.

A picture that arrives broken fails before it is saved. Flags are shown by gallery, manifest and asset checks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from duomi_pipeline.engine.plan import Plan, PlannedPrompt
from duomi_pipeline.engine.prompt_request import findings_for
from duomi_pipeline.engine.session import Session
from duomi_pipeline.engine.states import State
from duomi_pipeline.images import NotAPictureError, PictureLostError
from duomi_pipeline.images.fingerprint import Look, bits_apart
from duomi_pipeline.images.metadata import read_info
from duomi_pipeline.images.png import check_whole, stored_look
from duomi_pipeline.ledger import PictureFile, PictureLook

BLANK_CONTRAST = 0.02  # of 0.5: about 5 of 255 shades, which nobody takes for a picture
TWIN_BITS = 3  # of 256: re-encoding flips a few, another picture dozens
_BAND_DIGITS = 16  # four bands: 3 flipped bits leave at least one band unchanged
_COMPARED = 50  # pictures of a band at most, so that a band that thousands share costs no square of it


@dataclass(frozen=True)
class Flag:
    """One reason to look at a prompt or its picture.

    Attributes:
        kind: one word to filter by.
        text: a sentence for people.
    """

    kind: str
    text: str


def flags_of(entry: PlannedPrompt, sizes: Mapping[str, int], twins: Mapping[str, str]) -> tuple[Flag, ...]:
    """All flags of a prompt: those of its picture, then what its model misreads in the prompt.

    Args:
        sizes: of the files in the folder of pictures, by name.
        twins: of all prompts: `find_twins`.
    """
    pictures = _flags(entry, sizes, twins) if _has_pictures(entry) else ()
    return (*pictures, *prompt_flags(entry))


def prompt_flags(entry: PlannedPrompt) -> tuple[Flag, ...]:
    """What its model will ignore or misread in a prompt as it would be sent."""
    return tuple(Flag(finding.kind, finding.text) for finding in findings_for(entry.request))


def picture_flags(session: Session, plan: Plan) -> dict[str, tuple[Flag, ...]]:
    """Flags of the current pictures by prompt id; from records and file sizes alone, no file is opened."""
    sizes, twins = session.store.listing().sizes, find_twins(plan.entries)
    found = {entry.prompt.id: tuple(_flags(entry, sizes, twins)) for entry in plan.entries if _has_pictures(entry)}
    return {prompt_id: flags for prompt_id, flags in found.items() if flags}


def find_twins(entries: Iterable[PlannedPrompt]) -> dict[str, str]:
    """Prompts whose picture looks the same as that of another request, with the id of such another prompt."""
    return twins_among(
        PictureLook(entry.prompt.id, entry.selection.request_key, file.perceptual_hash)
        for entry in entries
        if entry.selection
        for file in entry.selection.files
        if file.perceptual_hash is not None and not _is_blank(file)
    )


def twins_among(looks: Iterable[PictureLook]) -> dict[str, str]:
    """The same, of pictures that are no blank ones, in the order of their prompts."""
    seen: dict[tuple[int, str], list[PictureLook]] = {}
    twins: dict[str, str] = {}
    for mine in looks:
        look = mine.perceptual_hash
        bands = [(place, look[place : place + _BAND_DIGITS]) for place in range(0, len(look), _BAND_DIGITS)]
        for other in (one for band in bands for one in islice(seen.get(band, ()), _COMPARED)):
            if other.request_key != mine.request_key and bits_apart(look, other.perceptual_hash) <= TWIN_BITS:
                twins.setdefault(mine.prompt_id, other.prompt_id)
                twins.setdefault(other.prompt_id, mine.prompt_id)
        for band in bands:
            seen.setdefault(band, []).append(mine)
    return twins


def look_at_unseen(session: Session, plan: Plan, limit: int) -> int:
    """Compute missing fingerprints of pictures, at most `limit`. Returns how many are left."""
    files = [file for e in plan.entries if _has_pictures(e) and e.selection for file in e.selection.files]
    unseen = [file for file in files if file.perceptual_hash is None]
    looks = {file: look for file in unseen[:limit] if (look := _look(session, file))}
    session.ledger.remember_looks({file: (look.perceptual_hash, look.contrast) for file, look in looks.items()})
    return max(0, len(unseen) - limit)


def damaged(session: Session, files: Sequence[PictureFile]) -> list[tuple[PictureFile, str]]:
    """Those of some files that are damaged, or the picture of another prompt, and why; reads every byte of them."""
    found = []
    for file in files:
        try:
            data = session.store.read(file.file)
            check_whole(data)
        except (NotAPictureError, PictureLostError) as error:
            found.append((file, str(error)))
            continue
        info = read_info(data)  # `None`: an optimiser took the texts out
        if info is not None and info.prompt_id != file.prompt_id:
            found.append(
                (file, f"{file.file} is the picture of {info.prompt_id}: was it renamed? Give it its name back")
            )
    return found


def _flags(entry: PlannedPrompt, sizes: Mapping[str, int], twins: Mapping[str, str]) -> Iterable[Flag]:
    for file in entry.selection.files if entry.selection else ():
        if sizes.get(file.file) != file.bytes:
            yield Flag("broken", f"{file.file} is gone or was changed since it was saved.")
        elif entry.state is State.CURRENT and file.size != str(entry.request.delivery_size):
            yield Flag("size", f"{file.file} is {file.size}, not {entry.request.delivery_size}.")
        if _is_blank(file):
            yield Flag("blank", f"{file.file} is almost of one tone: look whether it shows anything.")
    if other := twins.get(entry.prompt.id):
        yield Flag("twin", f"It looks the same as the picture of {other}, though another picture was asked for.")


def _has_pictures(entry: PlannedPrompt) -> bool:
    return entry.selection is not None and bool(entry.selection.files)


def _is_blank(file: PictureFile) -> bool:
    return file.contrast is not None and file.contrast < BLANK_CONTRAST


def _look(session: Session, file: PictureFile) -> Look | None:
    try:
        return stored_look(session.store.read(file.file))
    except (NotAPictureError, PictureLostError):
        return None
