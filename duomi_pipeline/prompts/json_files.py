"""The folder of JSON prompt files that keep arriving. One bad file never stops the others.

Of a key that stands twice in a file the last one counts, as in all of Python's JSON.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from duomi_pipeline.prompts.file_cache import FileMemory
from duomi_pipeline.prompts.parameters import BadParametersError, checked_parameters
from duomi_pipeline.prompts.prompt import (
    Problem,
    Prompt,
    Reading,
    SourceError,
    file_prompt_id,
    safe_prefix,
    text_problem,
)
from duomi_pipeline.settings import ParameterOverrides

MAX_FILE_BYTES = 4_000_000
STILL_WRITING = 5.0  # seconds: a file that does not parse and is younger than this is left for the next look
_SINGLE_PROMPT = re.compile(r"single_prompt_\d{8}_\d{6}_\d{3}")


class _BadFileError(Exception):
    """Why a file gives no prompt."""


class _NotJsonError(_BadFileError):
    """The file is not JSON, perhaps only not yet."""


def read_folder(folder: Path, now: float | None = None, memory: Path | None = None) -> Reading:
    """Read every `*.json` of a folder, in the order of their names; a missing folder holds no files.

    Args:
        folder: of the files.
        now: seconds since 1970; to tell a file that is still being written.
        memory: a file that keeps what was read, so that unchanged files are not read again.

    Raises:
        SourceError: the folder is there but cannot be listed.
    """
    prompts: dict[str, Prompt] = {}
    problems: list[Problem] = []
    present: set[str] = set()
    with FileMemory(folder, memory) as known:
        for path in _json_files(folder):
            try:
                prompt = _known_or_read(path, known)
            except (_BadFileError, OSError) as error:
                present.add(file_prompt_id(path.stem))
                if not (isinstance(error, _NotJsonError) and _is_fresh(path, now or time.time())):
                    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                    problems.append(Problem(_shown(path), reason))
                continue
            if twin := prompts.get(prompt.id):
                problems.append(Problem(_shown(path), f"has the same prompt id as {twin.origin}; rename one"))
                continue
            prompts[prompt.id] = prompt
    return Reading(tuple(prompts.values()), tuple(problems), frozenset(present))


def _known_or_read(path: Path, known: FileMemory) -> Prompt:
    try:
        seen = path.stat()
    except OSError as error:  # a link that leads nowhere, or in circles
        raise _BadFileError("not a file") from error
    prompt = known.recall(seen, path.name)
    if prompt is None:
        prompt = _read(path, file_prompt_id(path.stem))
        known.keep(seen, path.name, prompt)
    return prompt


def _json_files(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() == ".json")
    except FileNotFoundError:
        return
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror}. Set DUOMI_PROMPT_DIR to a readable folder.") from error
    yield from (folder / name for name in names if not name.startswith("."))


def _read(path: Path, prompt_id: str) -> Prompt:
    content = _content(path)
    text = content.get("image_prompt")
    if text is None:
        raise _BadFileError('no "image_prompt"')
    if problem := text_problem(text):
        raise _BadFileError(f'"image_prompt" {problem}')
    single = _SINGLE_PROMPT.fullmatch(path.stem)
    return Prompt(
        id=prompt_id,
        text=text,
        source="single_prompt" if single else "json",
        origin=_shown(path),
        file_prefix="single_prompt" if single else safe_prefix(path.stem),
        overrides=_overrides(content),
    )


def _content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise _BadFileError("not a file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise _BadFileError(f"larger than {MAX_FILE_BYTES // 1_000_000} MB")
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
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
    """The parameters of this prompt alone: `"generation"`, and `"negative_prompt"` beside it."""
    generation, negative = content.get("generation"), content.get("negative_prompt")
    if not isinstance(generation, dict | None):
        raise _BadFileError('"generation" is not an object')
    said = {**(generation or {})}
    if negative not in (None, ""):
        said["negative_prompt"] = negative
    try:
        return checked_parameters(said)
    except BadParametersError as error:
        raise _BadFileError(str(error)) from error


def _shown(path: Path) -> str:
    """A file's name as text that can be printed, also where its bytes are no UTF-8."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def _is_fresh(path: Path, now: float) -> bool:
    try:
        return abs(now - path.stat().st_mtime) < STILL_WRITING
    except OSError:
        return False
