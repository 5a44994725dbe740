"""The folder of JSON prompt files that keep arriving. One bad file never stops the others."""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from duomi_pipeline.prompts.prompt import Problem, Prompt, Reading, SourceError, file_prompt_id, safe_prefix
from duomi_pipeline.settings import Parameters

MAX_FILE_BYTES = 4_000_000
STILL_WRITING = 5.0  # seconds: a file that does not parse and is younger than this is left for the next look
_SINGLE_PROMPT = re.compile(r"single_prompt_\d{8}_\d{6}_\d{3}")


class _BadFileError(Exception):
    """Why a file gives no prompt."""


class _NotJsonError(_BadFileError):
    """The file is not JSON, perhaps only not yet."""


def read_folder(folder: Path, now: float | None = None) -> Reading:
    """Read every `*.json` of a folder, in the order of their names; a missing folder holds no files.

    Raises:
        SourceError: the folder is there but cannot be listed.
    """
    prompts: dict[str, Prompt] = {}
    problems: list[Problem] = []
    present: set[str] = set()
    for path in _json_files(folder):
        prompt_id = file_prompt_id(path.stem)
        try:
            prompt = _read(path, prompt_id)
        except (_BadFileError, OSError) as error:
            present.add(prompt_id)
            if not (isinstance(error, _NotJsonError) and _is_fresh(path, now or time.time())):
                reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                problems.append(Problem(_shown(path), reason))
            continue
        if prompt_id in prompts:
            problems.append(Problem(_shown(path), f"has the same prompt id as {prompts[prompt_id].origin}; rename one"))
            continue
        prompts[prompt_id] = prompt
    return Reading(tuple(prompts.values()), tuple(problems), frozenset(present))


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
    if not isinstance(text, str):
        raise _BadFileError(f'"image_prompt" is not text but {type(text).__name__}')
    if not text.strip():
        raise _BadFileError('"image_prompt" is empty')
    if re.search("[\ud800-\udfff]", text):
        raise _BadFileError('"image_prompt" holds half a character (a lone surrogate)')
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


def _overrides(content: dict[str, Any]) -> Parameters:
    """Parameters for this prompt alone: `"generation"`, and `"negative_prompt"` beside it."""
    generation = content.get("generation") or {}
    if not isinstance(generation, dict):
        raise _BadFileError('"generation" is not an object')
    negative = {"negative_prompt": content["negative_prompt"]} if content.get("negative_prompt") else {}
    try:
        return Parameters.model_validate({**generation, **negative}, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:1])
        raise _BadFileError(f"{name}={first['input']!r}: {first['msg'].removeprefix('Value error, ')}") from error


def _shown(path: Path) -> str:
    """A file's name as text that can be printed, also where its bytes are no UTF-8."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def _is_fresh(path: Path, now: float) -> bool:
    try:
        return abs(now - path.stat().st_mtime) < STILL_WRITING
    except OSError:
        return False
