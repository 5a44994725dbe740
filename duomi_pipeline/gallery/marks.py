"""What each card is made of, as a mark: the same mark, the same card. In bulk from register and ledger.

Only prompts that are not settled are planned; making the cards themselves is in `records`.
"""

import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from duomi_pipeline.duomi.profiles import profiles_fingerprint
from duomi_pipeline.engine import Plan, PlannedPrompt, Session, State
from duomi_pipeline.engine.looking import in_order
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.maintenance.quality import BLANK_CONTRAST, twins_among

DIGITS = 16  # hexadecimal, of a mark
_RULES = 1  # raise it where the same plan and ledger give another card than before


@dataclass(frozen=True)
class Marks:
    """The marks of all cards.

    Attributes:
        planned: by prompt id, in the order of the sources.
        retired: the same of prompts that are gone, by id, but for their pictures.
        files: the picture files that are shown, all versions.
    """

    planned: Mapping[str, str]
    retired: Mapping[str, str]
    files: Set[str]


def what_all_depend_on(session: Session) -> str:
    """What every card depends on besides, as text."""
    settings = session.settings
    return json.dumps([version("duomi-pipeline"), _RULES, settings.currency, profiles_fingerprint(settings)])


def read_marks(session: Session, plan: Plan, sizes: Mapping[str, int]) -> Marks:
    """The marks as they are now.

    Args:
        sizes: of the files in the folder of pictures, by name.

    Raises:
        LedgerError: a prompt was retired, or its picture removed, since the plan was made.
    """
    failed: dict[str, str] = {}
    for key, *parts in session.ledger.shown.without_pictures():
        failed[key] = _digest(failed.get(key), parts)
    pictures, files = _pictures(session, sizes)
    marks = {
        entry.prompt.id: _digest(entry.prompt.id, pictures.pop(entry.prompt.id, None), *_parts_of(entry, failed))
        for entry in plan.entries
    }
    if plan.settled:
        for key, *said in session.ledger.shown.prompts():
            if key in plan.settled:
                request = said[-1]
                rest = (said, State.CURRENT.value, request, failed.get(request), None)
                marks[key] = _digest(key, pictures.pop(key, None), *rest)
        ids = in_order(session.ledger, marks)
        if gone := next((prompt_id for prompt_id in plan.settled if prompt_id not in marks), None):
            raise LedgerError(f"{gone} was retired or its picture removed meanwhile: start again")
        marks = {prompt_id: marks[prompt_id] for prompt_id in ids}
    retired = {prompt_id: _digest(prompt_id, pictures[prompt_id]) for prompt_id in sorted(pictures)}
    return Marks(marks, retired, files)


def read_twins(session: Session, planned: Mapping[str, str]) -> dict[str, str]:
    """Which prompts have pictures that look the same, among those that are planned; see `quality.find_twins`."""
    looks = [one for one in session.ledger.shown.similar_looks(BLANK_CONTRAST) if one.prompt_id in planned]
    if not looks:
        return {}
    places = {prompt_id: place for place, prompt_id in enumerate(planned)}
    return twins_among(sorted(looks, key=lambda one: places[one.prompt_id]))


def _pictures(session: Session, sizes: Mapping[str, int]) -> tuple[dict[str, str], set[str]]:
    """What is shown of the pictures of each prompt that are on disk as they were written, and their names."""
    found: dict[str, str] = {}
    files: set[str] = set()
    for prompt_id, file, size, *parts in session.ledger.shown.pictures():
        if sizes.get(file) == size:
            found[prompt_id] = _digest(found.get(prompt_id), file, size, parts)
            files.add(file)
    return found, files


def _parts_of(entry: PlannedPrompt, failed: Mapping[str, str]) -> tuple[Any, ...]:
    """What a planned prompt's mark is made of; of a current one the same as of a settled one."""
    prompt, key = entry.prompt, entry.request.key
    selected = (entry.selection.purchase_id, entry.selection.request_key) if entry.selection else (None, None)
    said = [prompt.version, prompt.source, prompt.origin, prompt.name, *selected]
    failure = entry.purchase if entry.state is not State.CURRENT else None
    why = (failure.error_class, failure.error_message) if failure else None
    return said, entry.state.value, key, failed.get(key), why


def _digest(*parts: Any) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=DIGITS // 2).hexdigest()
