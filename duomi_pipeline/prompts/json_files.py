"""Reads the folder of JSON prompt files. A bad file is reported and never stops the others.

If a key occurs twice in an object, the last one counts, as always in Python's JSON.
"""

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from duomi_pipeline.prompts.file_cache import FileMemory
from duomi_pipeline.prompts.folders import NotAFileError, PromptFolder, Seen, open_folder
from duomi_pipeline.prompts.parameters import BadParametersError, checked_parameters
from duomi_pipeline.prompts.prompt import (
    Problem,
    Prompt,
    Reading,
    file_prompt_id,
    safe_prefix,
    text_problem,
)
from duomi_pipeline.settings import ParameterOverrides

MAX_FILE_BYTES = 4_000_000
STILL_WRITING = 5.0  # seconds; a younger file that is not valid JSON is left for the next scan
_SINGLE_PROMPT = re.compile(r"single_prompt_\d{8}_\d{6}_\d{3}")


class _BadFileError(Exception):
    """A file without a usable prompt; the text says why."""


class _NotJsonError(_BadFileError):
    """The file is not valid JSON; it may still be written."""


def read_folder(folder: Path | str, now: float | None = None, memory: Path | None = None) -> Reading:
    """Read every `*.json` of a folder, in the order of their names; a missing folder counts as empty.

    Args:
        folder: of the files; a path or an fsspec URL.
        now: seconds since 1970; to recognise a file that is still being written.
        memory: SQLite file of the cache, so that unchanged files are not read again.

    Raises:
        SourceError: the folder exists but cannot be listed.
    """
    opened = open_folder(folder, MAX_FILE_BYTES)
    names = [name for name in opened.names() if _is_prompt_file(name)]
    with FileMemory(folder, memory) as known:
        found = _found(opened, names, known)
    prompts: dict[str, Prompt] = {}
    problems: list[Problem] = []
    present: set[str] = set()
    for name in names:
        prompt = found[name]
        if isinstance(prompt, Exception):
            present.add(file_prompt_id(_stem(name)))
            if not (isinstance(prompt, _NotJsonError) and _is_fresh(opened, name, now or time.time())):
                reason = prompt.strerror or str(prompt) if isinstance(prompt, OSError) else str(prompt)
                problems.append(Problem(_shown(name), reason))
        elif twin := prompts.get(prompt.id):
            problems.append(Problem(_shown(name), f"has the same prompt id as {twin.origin}; rename one"))
        else:
            prompts[prompt.id] = prompt
    return Reading(tuple(prompts.values()), tuple(problems), frozenset(present))


def _found(folder: PromptFolder, names: Sequence[str], known: FileMemory) -> Mapping[str, Prompt | Exception]:
    """The prompt of each file, or why it has none; files that changed are read."""
    found: dict[str, Prompt | Exception] = {}
    unread: dict[str, Seen] = {}
    for name in names:
        try:
            seen = folder.seen(name)
        except (NotAFileError, OSError) as error:
            found[name] = error
            continue
        if prompt := known.recall(seen, name):
            found[name] = prompt
        else:
            unread[name] = seen
    for name, content in folder.read(list(unread)):
        try:
            if isinstance(content, Exception):
                found[name] = content
            else:
                prompt = found[name] = _prompt(name, content)
                known.keep(unread[name], name, prompt)
        except _BadFileError as error:
            found[name] = error
    return found


def _is_prompt_file(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() == ".json" and not name.startswith(".")


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _prompt(name: str, data: bytes) -> Prompt:
    content, stem = _content(data), _stem(name)
    text = content.get("image_prompt")
    if text is None:
        raise _BadFileError('no "image_prompt"')
    if problem := text_problem(text):
        raise _BadFileError(f'"image_prompt" {problem}')
    single = _SINGLE_PROMPT.fullmatch(stem)
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
    return os.fsencode(name).decode("utf-8", "replace")


def _is_fresh(folder: PromptFolder, name: str, now: float) -> bool:
    try:
        return abs(now - folder.seen(name).changed_at) < STILL_WRITING
    except (NotAFileError, OSError):
        return False
