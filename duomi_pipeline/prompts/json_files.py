"""Reads the folder of JSON prompt files. A bad file is reported and never stops the others. Content: `json_content`."""

import contextlib
import os
import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from duomi_pipeline.common.text import has_surrogates
from duomi_pipeline.prompts.folders import IsAFolderError, NotAFileError, PromptFolder, Seen, open_folder
from duomi_pipeline.prompts.json_content import BadContentError, NotJsonError, read_content
from duomi_pipeline.prompts.marks import Marks
from duomi_pipeline.prompts.other_files import OtherFiles
from duomi_pipeline.prompts.prompt import (
    Problem,
    Prompt,
    Reading,
    SourceError,
    file_prompt_id,
    former_file_prompt_id,
    safe_prefix,
)

MAX_FILE_BYTES = 4_000_000
_ENDING = ".json"
STILL_WRITING = 5.0  # seconds; a younger file that is not valid JSON may still be written
PATIENCE = 15.0  # seconds that a command waits for such files
_PAUSE = 0.5  # seconds between two looks at them
SINGLE_PROMPT = re.compile(r"single_prompt_\d{8}_\d{6}_\d{3}")  # name without ending


class _Found(NamedTuple):
    """What a file gives, and how it was read where it is not as it should be."""

    prompt: Prompt
    notes: tuple[str, ...]


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
    known, opened, others = marks or Marks({}), open_folder(folder, MAX_FILE_BYTES), OtherFiles()
    changed = _changed(opened, known, others)
    if names is not None:
        changed = {name: seen for name, seen in changed.items() if names.fullmatch(_stem(name))}
    found = _read(opened, changed)
    prompts: dict[str, Prompt] = {}
    found_marks: dict[str, int] = {}
    problems: list[Problem] = []
    notes: list[Problem] = []
    present: set[str] = set()
    unfinished: set[str] = set()
    for name in sorted(changed):
        one, seen = found[name], changed[name]
        if isinstance(one, Exception):
            present |= {file_prompt_id(_stem(name)), former_file_prompt_id(_stem(name))}
            reason = one.strerror or str(one) if isinstance(one, OSError) else str(one)
            if isinstance(one, NotJsonError) and _is_fresh(opened, name, now or time.time()):
                unfinished.add(_shown(name))
                reason = "still being written, or not whole: changed a moment ago; the next look reads it again"
            problems.append(Problem(_shown(name), reason))
        elif twin := prompts.get(one.prompt.id):
            problems.append(Problem(_shown(name), f"has the same prompt id as {twin.origin}; rename one"))
        else:
            prompt = prompts[one.prompt.id] = one.prompt
            known.see(prompt.origin)
            notes += (Problem(prompt.origin, note) for note in one.notes)
            if isinstance(seen, Seen) and seen.is_settled and _is_plain(name):
                found_marks[prompt.id] = seen.mark
    return Reading(
        tuple(prompts.values()),
        (*problems, *(others.problems() if names is None else ())),
        frozenset(present),
        frozenset(unfinished),
        tuple(notes),
        marks=found_marks,
        unchanged=known.unchanged,
        gone=None if marks is None else tuple(known.gone()),
    )


def wait_for_files(folder: Path | str, names: Collection[str]) -> None:
    """Wait until files that are still being written are whole, or gone, or have been left alone for `STILL_WRITING`.

    Args:
        folder: of the files; a path or an fsspec URL.
        names: of the files. After `PATIENCE` seconds they are waited for no longer.
    """
    stems = re.compile("|".join(re.escape(_stem(name)) for name in names))
    until = time.monotonic() + PATIENCE
    with contextlib.suppress(SourceError):  # whoever looks next says so
        while read_folder(folder, names=stems).unfinished and time.monotonic() < until:
            time.sleep(_PAUSE)


def _changed(folder: PromptFolder, known: Marks, others: OtherFiles) -> dict[str, Seen | Exception]:
    """The files that have to be read, by name, with their state; or why they cannot be."""
    changed: dict[str, Seen | Exception] = {}
    for name, seen in folder.files():
        if not _is_prompt_file(name):
            others.see(name, is_folder=isinstance(seen, IsAFolderError))
        elif isinstance(seen, Exception) or not known.is_unchanged(_shown(name), seen.mark):
            changed[name] = seen
    for name in [name for name in changed if not _is_plain(name)]:
        twin = f"{_stem(name)}{_ENDING}"  # has the same id, if it is there: which of them counts, both together tell
        if twin not in changed and known.was_seen(twin):
            known.unsee(twin)
            changed[twin] = folder.seen(twin)
    return changed


def _read(folder: PromptFolder, files: Mapping[str, Seen | Exception]) -> Mapping[str, _Found | Exception]:
    """The prompt of each file, or why it has none."""
    found: dict[str, _Found | Exception] = {name: why for name, why in files.items() if isinstance(why, Exception)}
    for name, content in folder.read([name for name in files if name not in found]):
        try:
            found[name] = content if isinstance(content, Exception) else _prompt(name, content)
        except BadContentError as error:
            found[name] = error
    return found


def _is_prompt_file(name: str) -> bool:
    return name.lower().endswith(_ENDING) and not name.startswith(".")


def _is_plain(name: str) -> bool:
    """Whether no other name gives the same id or origin."""
    return name.endswith(_ENDING) and not has_surrogates(name)


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _prompt(name: str, data: bytes) -> _Found:
    content, stem = read_content(data), _stem(name)
    single = SINGLE_PROMPT.fullmatch(stem)
    prompt = Prompt(
        id=file_prompt_id(stem),
        text=content.text,
        source="single_prompt" if single else "json",
        origin=_shown(name),
        file_prefix="single_prompt" if single else safe_prefix(stem),
        overrides=content.overrides,
    )
    return _Found(prompt, content.notes)


def _shown(name: str) -> str:
    """A file's name as printable text, also if its bytes are not UTF-8."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "replace")


def _is_fresh(folder: PromptFolder, name: str, now: float) -> bool:
    try:
        return abs(now - folder.seen(name).changed_at) < STILL_WRITING
    except (NotAFileError, OSError):
        return False
