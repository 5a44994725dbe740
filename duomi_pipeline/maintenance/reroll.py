"""New seeds for rejected pictures: what `duomi generate --reroll` does with the file that the gallery exports.

The seeds are recorded as the prompts' own (`maintenance.choices`).
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duomi_pipeline.common.text import has_surrogates
from duomi_pipeline.engine.plan import Plan, PlannedPrompt
from duomi_pipeline.settings import ParameterOverrides

_SEEDS = 10_000_000_000
_NOTHING = ParameterOverrides()


class MarksError(ValueError):
    """A file of marks cannot be used; the text says why."""


@dataclass(frozen=True)
class Reroll:
    """What to do about rejected pictures.

    Attributes:
        seeds: new seeds by prompt id.
        seedless: prompts whose model takes no seed: the same request is to be bought again.
        pending: prompts that have their new seed, but no picture of it yet.
        done: prompts that have another picture than the rejected one already.
    """

    seeds: Mapping[str, int]
    seedless: frozenset[str]
    pending: frozenset[str]
    done: frozenset[str]

    @property
    def ids(self) -> frozenset[str]:
        """Every prompt that is to get another picture."""
        return frozenset(self.seeds) | self.seedless | self.pending

    def own(self, parameters: ParameterOverrides = _NOTHING) -> dict[str, ParameterOverrides]:
        """What is recorded for each of them: parameters that were given for all, and its new seed."""
        return {
            prompt_id: ParameterOverrides(seed=self.seeds.get(prompt_id)).over(parameters) for prompt_id in self.ids
        }


@dataclass(frozen=True)
class Marks:
    """The marks of a file that the gallery exported: prompt ids, each with the picture file that was marked."""

    picks: Mapping[str, str | None]
    rejects: Mapping[str, str | None]


def read_marks(path: Path) -> Marks:
    """The marks of a file that the gallery exported.

    Raises:
        MarksError: no such file, or not such a file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise MarksError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise MarksError(f"{path} is not JSON: {error}") from error
    found: dict[str, Any] = content if isinstance(content, dict) else {}
    lists, pictures = (found.get("picks", []), found.get("rejects")), found.get("pictures", {})
    are_ids = all(isinstance(ids, list) and all(map(_is_text, ids)) for ids in lists)
    are_files = isinstance(pictures, dict) and all(file is None or _is_text(file) for file in pictures.values())
    if not are_ids or not are_files:
        raise MarksError(f'{path} has no lists "picks" and "rejects" of prompt ids; export it from the gallery')
    picks, rejects = ({prompt_id: pictures.get(prompt_id) for prompt_id in ids or ()} for ids in lists)
    return Marks(picks, rejects)


def plan_reroll(plan: Plan, rejects: Mapping[str, str | None]) -> Reroll:
    """Decide for each rejected prompt; a file that is used twice, or after an interruption, buys nothing twice."""
    seeds, seedless, pending, done = {}, set(), set(), set()
    for entry in plan.entries:
        prompt_id, selection = entry.prompt.id, entry.selection
        if prompt_id not in rejects:
            continue
        if selection is None or selection.prompt_version != entry.prompt.version:
            pending.add(prompt_id)
        elif not _is_rejected(entry, rejects[prompt_id]):
            done.add(prompt_id)
        elif entry.request.seed is None:
            seedless.add(prompt_id)
        else:
            seeds[prompt_id] = secrets.randbelow(_SEEDS)
    return Reroll(seeds, frozenset(seedless), frozenset(pending), frozenset(done))


def _is_rejected(entry: PlannedPrompt, picture: str | None) -> bool:
    """Whether the prompt still has the picture that was rejected; a mark without a picture means whatever it has."""
    files = entry.selection.files if entry.selection else ()
    return picture is None or any(file.file == picture for file in files)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not has_surrogates(value)
