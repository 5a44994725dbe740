"""Overrides recorded beside the sources, by prompt id: what a person decided about one prompt after seeing its picture.

A JSON object such as `{"db_12": {"seed": 123}}`, to be read and edited by people too. The sources stay untouched.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duomi_pipeline.common.files import write_whole
from duomi_pipeline.prompts.parameters import BadParametersError, checked_parameters
from duomi_pipeline.prompts.prompt import Problem, Prompt, Reading, SourceError
from duomi_pipeline.settings import ParameterOverrides


@dataclass(frozen=True)
class Overrides:
    """What is recorded.

    Attributes:
        by_id: parameters by prompt id.
        bad: why an entry cannot be used, by prompt id.
    """

    by_id: Mapping[str, ParameterOverrides]
    bad: Mapping[str, str]

    def applied_to(self, reading: Reading) -> Reading:
        """A reading whose prompts have them; a recorded value wins over the prompt's own: it was said later.

        A prompt with an entry that cannot be used is left out, as drawing it without would buy the wrong picture.
        """
        broken = [prompt for prompt in reading.prompts if prompt.id in self.bad]
        problems = [Problem(prompt.origin, f"its recorded override: {self.bad[prompt.id]}") for prompt in broken]
        return Reading(
            tuple(self._applied(prompt) for prompt in reading.prompts if prompt.id not in self.bad),
            (*reading.problems, *problems),
            reading.present | {prompt.id for prompt in broken},
        )

    def _applied(self, prompt: Prompt) -> Prompt:
        recorded = self.by_id.get(prompt.id)
        return prompt if recorded is None else replace(prompt, overrides=recorded.over(prompt.overrides))


def read_overrides(path: Path) -> Overrides:
    """All recorded overrides; a missing file holds none.

    Raises:
        SourceError: the file is there and cannot be used as a whole.
    """
    found: dict[str, ParameterOverrides] = {}
    bad: dict[str, str] = {}
    for prompt_id, said in _content(path).items():
        try:
            found[prompt_id] = checked_parameters(said)
        except BadParametersError as error:
            bad[prompt_id] = str(error)
    return Overrides(found, bad)


def record_seeds(path: Path, seeds: Mapping[str, int]) -> None:
    """Add seeds to what is recorded, whole or not at all.

    Raises:
        SourceError: what is recorded cannot be read, or the file cannot be written.
    """
    content = _content(path)
    for prompt_id, seed in seeds.items():
        said = content.get(prompt_id)
        content[prompt_id] = {**(said if isinstance(said, dict) else {}), "seed": seed}
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror}") from error


def _content(path: Path) -> dict[str, Any]:
    advice = "mend the file, or delete it to forget what is recorded there"
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not usable JSON ({error}); {advice}") from error
    if not isinstance(content, dict):
        raise SourceError(f"{path} holds no object of prompt ids; {advice}")
    return content
