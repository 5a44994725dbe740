"""Recorded overrides: parameters of single prompts, by prompt id, in a file of their own. Sources are never changed.

A JSON object such as `{"db_12": {"seed": 123}}`, written when a person chooses a picture or asks for another one, and
editable by hand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from duomi_pipeline.common.files import write_whole
from duomi_pipeline.prompts.parameters import BadParametersError, checked_parameters
from duomi_pipeline.prompts.prompt import Problem, Prompt, Reading, SourceError
from duomi_pipeline.settings import ParameterOverrides


@dataclass(frozen=True)
class Overrides:
    """The content of the file.

    Attributes:
        by_id: parameters by prompt id.
        bad: why an entry is invalid, by prompt id.
    """

    by_id: Mapping[str, ParameterOverrides]
    bad: Mapping[str, str]

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all prompts with an entry."""
        return frozenset(self.by_id) | frozenset(self.bad)

    def applied_to(self, reading: Reading) -> Reading:
        """The same reading with overrides applied; a recorded value wins over the prompt's own, as the later decision.

        A prompt with an invalid entry is left out: without its override the wrong picture would be bought.
        """
        bad = {prompt.id: self.bad[key] for prompt in reading.prompts if (key := self._key(prompt)) in self.bad}
        broken = [prompt for prompt in reading.prompts if prompt.id in bad]
        problems = [Problem(prompt.origin, f"its recorded override: {bad[prompt.id]}") for prompt in broken]
        changed = {prompt.id for prompt in reading.prompts if self._key(prompt) in self.ids}
        return replace(
            reading,
            prompts=tuple(self._applied(prompt) for prompt in reading.prompts if prompt.id not in bad),
            problems=(*reading.problems, *problems),
            present=reading.present.union(*((prompt.id, prompt.former_id or prompt.id) for prompt in broken)),
            # What is unchanged by itself may get other overrides.
            marks={prompt_id: mark for prompt_id, mark in reading.marks.items() if prompt_id not in changed},
        )

    def of(self, prompt: Prompt) -> ParameterOverrides | None:
        """What is recorded for a prompt."""
        return self.by_id.get(self._key(prompt))

    def _applied(self, prompt: Prompt) -> Prompt:
        recorded = self.of(prompt)
        return prompt if recorded is None else replace(prompt, overrides=recorded.over(prompt.overrides))

    def _key(self, prompt: Prompt) -> str:
        """The id under which the file has a prompt: a former one, where it has no other."""
        former = prompt.former_id
        return prompt.id if prompt.id in self.by_id or prompt.id in self.bad or not former else former


def read_overrides(path: Path) -> Overrides:
    """All recorded overrides; a missing file counts as empty.

    Raises:
        SourceError: the file cannot be read or is not a JSON object.
    """
    found: dict[str, ParameterOverrides] = {}
    bad: dict[str, str] = {}
    for prompt_id, entry in _content(path).items():
        try:
            found[prompt_id] = checked_parameters(entry)
        except BadParametersError as error:
            bad[prompt_id] = str(error)
    return Overrides(found, bad)


def record_overrides(path: Path, changes: Mapping[str, Mapping[str, Any]], known: Overrides | None = None) -> None:
    """Record parameters of prompts over those recorded already; the file is written whole or not at all.

    One process at a time changes the file: no change of another one is lost.

    Args:
        path: of the file.
        changes: parameters by name, by prompt id; `None` takes a recorded one back.
        known: the file as it was when these were decided: where another process has recorded something else for a
            prompt since, that stays. `None`: the last word wins.

    Raises:
        SourceError: the file cannot be read or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            content = _content(path)
            now = read_overrides(path) if known else None
            for prompt_id, parameters in changes.items():
                if known and now and now.by_id.get(prompt_id) != known.by_id.get(prompt_id):
                    continue
                before = content.get(prompt_id)
                entry = {**(before if isinstance(before, dict) else {}), **parameters}
                content[prompt_id] = {name: value for name, value in entry.items() if value is not None}
            kept = {prompt_id: entry for prompt_id, entry in content.items() if entry != {}}
            write_whole(path, (json.dumps(kept, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror}") from error


def _content(path: Path) -> dict[str, Any]:
    advice = "fix the file, or delete it together with the overrides in it"
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not usable JSON ({error}); {advice}") from error
    if not isinstance(content, dict):
        raise SourceError(f"{path} is not an object with prompt ids as keys; {advice}")
    return content
