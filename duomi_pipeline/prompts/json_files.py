"""Reads the folder of JSON prompt files. A bad file is reported and never stops the others.

If a key occurs twice in an object, the last one counts, as always in Python's JSON.
"""

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from duomi_pipeline.common.text import has_surrogates
from duomi_pipeline.prompts.folders import NotAFileError, PromptFolder, Seen, open_folder
from duomi_pipeline.prompts.marks import Marks
from duomi_pipeline.prompts.parameters import BadParametersError, checked_parameters
from duomi_pipeline.prompts.prompt import (
    Problem,
    Prompt,
    Reading,
    file_prompt_id,
    former_file_prompt_id,
    safe_prefix,
    text_problem,
)
from duomi_pipeline.settings import ParameterOverrides

MAX_FILE_BYTES = 4_000_000
_ENDING = ".json"
STILL_WRITING = 5.0  # seconds; a younger file that is not valid JSON is left for the next scan
SINGLE_PROMPT = re.compile(r"single_prompt_\d{8}_\d{6}_\d{3}")  # name without ending


class _BadFileError(Exception):
    """A file without a usable prompt; the text says why."""


class _NotJsonError(_BadFileError):
    """The file is not valid JSON; it may still be written."""


def read_folder(
    folder: Path | str, now: float | None = None, marks: Marks | None = None, names: re.Pattern[str] | None = None
) -> Reading:
    """Read every `*.json` of a folder, in the order of their names; a missing folder counts as empty.

    Args:
        folder: of the files; a path or an fsspec URL.
        now: seconds since 1970; to recognise a file that is still being written.
        marks: of the register: unchanged files are only counted. `None`: all files are read.
        names: only files with such a name, without its ending.

    Raises:
        SourceError: the folder exists but cannot be listed.
    """
    known, opened = marks or Marks({}), open_folder(folder, MAX_FILE_BYTES)
    changed = _changed(opened, known)
    if names is not None:
        changed = {name: seen for name, seen in changed.items() if names.fullmatch(_stem(name))}
    found = _read(opened, changed)
    prompts: dict[str, Prompt] = {}
    found_marks: dict[str, int] = {}
    problems: list[Problem] = []
    present: set[str] = set()
    for name in sorted(changed):
        prompt, seen = found[name], changed[name]
        if isinstance(prompt, Exception):
            present |= {file_prompt_id(_stem(name)), former_file_prompt_id(_stem(name))}
            if not (isinstance(prompt, _NotJsonError) and _is_fresh(opened, name, now or time.time())):
                reason = prompt.strerror or str(prompt) if isinstance(prompt, OSError) else str(prompt)
                problems.append(Problem(_shown(name), reason))
        elif twin := prompts.get(prompt.id):
            problems.append(Problem(_shown(name), f"has the same prompt id as {twin.origin}; rename one"))
        else:
            prompts[prompt.id] = prompt
            known.see(prompt.origin)
            if isinstance(seen, Seen) and seen.is_settled and _is_plain(name):
                found_marks[prompt.id] = seen.mark
    return Reading(
        tuple(prompts.values()),
        tuple(problems),
        frozenset(present),
        marks=found_marks,
        unchanged=known.unchanged,
        gone=None if marks is None else tuple(known.gone()),
    )


def _changed(folder: PromptFolder, known: Marks) -> dict[str, Seen | Exception]:
    """The files that have to be read, by name, with their state; or why they cannot be."""
    changed = {
        name: seen
        for name, seen in folder.files()
        if _is_prompt_file(name) and (isinstance(seen, Exception) or not known.is_unchanged(_shown(name), seen.mark))
    }
    for name in [name for name in changed if not _is_plain(name)]:
        twin = f"{_stem(name)}{_ENDING}"  # has the same id, if it is there: which of them counts, both together tell
        if twin not in changed and known.was_seen(twin):
            known.unsee(twin)
            changed[twin] = folder.seen(twin)
    return changed


def _read(folder: PromptFolder, files: Mapping[str, Seen | Exception]) -> Mapping[str, Prompt | Exception]:
    """The prompt of each file, or why it has none."""
    found: dict[str, Prompt | Exception] = {name: why for name, why in files.items() if isinstance(why, Exception)}
    for name, content in folder.read([name for name in files if name not in found]):
        try:
            found[name] = content if isinstance(content, Exception) else _prompt(name, content)
        except _BadFileError as error:
            found[name] = error
    return found


def _is_prompt_file(name: str) -> bool:
    return name.lower().endswith(_ENDING) and not name.startswith(".")


def _is_plain(name: str) -> bool:
    """Whether no other name gives the same id or origin."""
    return name.endswith(_ENDING) and not has_surrogates(name)


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _prompt(name: str, data: bytes) -> Prompt:
    content, stem = _content(data), _stem(name)
    text = content.get("image_prompt")
    if text is None:
        raise _BadFileError('no "image_prompt"')
    if problem := text_problem(text):
        raise _BadFileError(f'"image_prompt" {problem}')
    single = SINGLE_PROMPT.fullmatch(stem)
    return Prompt(
        id=file_prompt_id(stem),
        text=text,
        source="single_prompt" if single else "json",
        origin=_shown(name),
        file_prefix="single_prompt" if single else safe_prefix(stem),
        overrides=_overrides(content),
    )


def _content(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _NotJsonError(f"not UTF-8 text: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _NotJsonError(f"not valid JSON: {error}") from error
    except (RecursionError, ValueError) as error:
        raise _BadFileError(f"not usable JSON: {error}") from error
    if not isinstance(content, dict):
        raise _BadFileError(f"holds a {type(content).__name__}, not an object")
    return content


def _overrides(content: dict[str, Any]) -> ParameterOverrides:
    """The prompt's own parameters: `"generation"`, and `"negative_prompt"` beside it."""
    generation, negative = content.get("generation"), content.get("negative_prompt")
    if not isinstance(generation, dict | None):
        raise _BadFileError('"generation" is not an object')
    parameters = {**(generation or {})}
    if negative not in (None, ""):
        parameters["negative_prompt"] = negative
    try:
        return checked_parameters(parameters)
    except BadParametersError as error:
        raise _BadFileError(str(error)) from error


def _shown(name: str) -> str:
    """A file's name as printable text, also if its bytes are not UTF-8."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "replace")


def _is_fresh(folder: PromptFolder, name: str, now: float) -> bool:
    try:
        return abs(now - folder.seen(name).changed_at) < STILL_WRITING
    except (NotAFileError, OSError):
        return False
