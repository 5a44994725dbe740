"""Rejected pictures to new seeds: what `duomi generate --reroll` does with the file that the gallery exports.

The seeds are recorded in `prompts.overrides`.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duomi_pipeline.engine.plan import Plan, PlannedPrompt
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.settings import ParameterOverrides

_SEEDS = 10_000_000_000


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

    def applied_to(self, prompts: Iterable[Prompt]) -> list[Prompt]:
        """Those of some prompts that are to get another picture, with their new seeds."""
        mine = (prompt for prompt in prompts if prompt.id in self.ids)
        return [
            replace(prompt, overrides=ParameterOverrides(seed=self.seeds[prompt.id]).over(prompt.overrides))
            if prompt.id in self.seeds
            else prompt
            for prompt in mine
        ]


def read_rejects(path: Path) -> dict[str, str | None]:
    """The rejected prompts of a file that the gallery exported, each with the picture file that was rejected.

    Raises:
        MarksError: no such file, or not such a file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise MarksError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise MarksError(f"{path} is not JSON: {error}") from error
    rejects = content.get("rejects") if isinstance(content, dict) else None
    pictures = content.get("pictures", {}) if isinstance(content, dict) else {}
    if not isinstance(rejects, list) or not all(map(_is_text, rejects)) or not isinstance(pictures, dict):
        raise MarksError(f'{path} has no list "rejects" of prompt ids; export it from the gallery')
    return {prompt_id: pictures.get(prompt_id) for prompt_id in rejects}


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
    return isinstance(value, str)
