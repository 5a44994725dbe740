"""The prompt, its id and version, and the result of reading a source. Sources are read in `table` and `json_files`."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal

from duomi_pipeline.common.text import CONTROLS, has_surrogates, is_invisible, is_word_character, one_line
from duomi_pipeline.settings import ParameterOverrides

NO_OVERRIDES = ParameterOverrides()  # one for all prompts without parameters of their own
SourceKind = Literal["database", "json", "single_prompt"]
MAX_ID_LENGTH = 100
MAX_TEXT = 500_000  # characters of a prompt; services take less than a tenth of it
MAX_PREFIX_BYTES = 200  # a file name holds 255 bytes: room for timestamp, index, ending and a temporary suffix
_FILE_ID = "json_"  # ids of JSON files begin with it
_MAX_STEM = MAX_ID_LENGTH - len(_FILE_ID)
_MAX_STEM_BYTES = 200 - len(_FILE_ID)
_MAX_SHOWN = 500  # characters of an origin or a reason
_NOT_IN_NAMES = re.compile(rf'[/\\:*?"<>|{CONTROLS}]')  # what file systems refuse, and control characters


class SourceError(Exception):
    """A whole source cannot be read. Its prompts are unknown, not gone."""


class NoDatabaseError(SourceError):
    """The database file does not exist."""


@dataclass(frozen=True)
class Problem:
    """A row or file without a usable prompt, and why; `str()` gives one printable line."""

    origin: str
    reason: str

    def __str__(self) -> str:
        return f"{one_line(self.origin, _MAX_SHOWN)}: {one_line(self.reason, _MAX_SHOWN)}"


@dataclass(frozen=True)
class Prompt:
    """A text to draw, with its own parameters.

    Attributes:
        id: partition key: letters, marks and digits, `_` and `-`; at most 100 characters and 200 bytes.
        text: the prompt as its author wrote it.
        source: which kind of source it came from.
        origin: its place in the source: `prompts.id=12` or a file name.
        file_prefix: how its picture files begin.
        overrides: parameters of this prompt alone, including the negative prompt.
        image_id: `images.id` of a table row.
        name: a title (`descriptive_name` of a row); `None` if it has none.
    """

    id: str
    text: str
    source: SourceKind
    origin: str
    file_prefix: str
    overrides: ParameterOverrides = NO_OVERRIDES
    image_id: int | None = None
    name: str | None = None

    @cached_property
    def version(self) -> str:
        """Fingerprint of text and overrides; other fields of the row or file do not count."""
        content = json.dumps([self.text, self.overrides.explicit()], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def former_id(self) -> str | None:
        """The id that a file's prompt had before 0.2, where it was another; see `file_prompt_id`."""
        if self.source == "database" or self.origin.isascii():
            return None
        return former_file_prompt_id(PurePosixPath(self.origin).stem)


@dataclass(frozen=True)
class Reading:
    """The result of reading a source once: all of it, or what has changed since the register saw it.

    Attributes:
        prompts: the prompts that were read, in the source's order.
        problems: rows and files without a usable prompt.
        present: ids of prompts that exist but cannot be used now; they are not gone.
        unfinished: names of files that are still being written; they are among the problems, too.
        notes: rows and files that give a prompt, but not as they should, each with how it was read.
        marks: of the rows or files of these prompts, by prompt id, where they can be told from later ones.
        stamp: of the whole source; empty where it has none.
        unchanged: how many prompts were not read, because they are as the register has them.
        gone: origins of prompts in the register that are not here; `None` where all was read.
        is_as_before: the whole source is as it was at the last look; nothing of it was read.
    """

    prompts: tuple[Prompt, ...] = ()
    problems: tuple[Problem, ...] = ()
    present: frozenset[str] = frozenset()
    unfinished: frozenset[str] = frozenset()
    notes: tuple[Problem, ...] = ()
    marks: Mapping[str, int] = field(default_factory=dict, compare=False)
    stamp: str = field(default="", compare=False)
    unchanged: int = 0
    gone: tuple[str, ...] | None = None
    is_as_before: bool = False


def text_problem(text: object) -> str | None:
    """Why a value is not a valid prompt text, as the end of a sentence; `None` if it is valid."""
    if not isinstance(text, str):
        return f"is not text but {type(text).__name__}"
    if not text.strip():
        return "is empty"
    if all(map(is_invisible, text)):
        return "shows nothing: all its characters are invisible"
    if len(text) > MAX_TEXT:
        return f"has {len(text):,} characters; at most {MAX_TEXT:,} are allowed"
    if has_surrogates(text):
        return "contains a lone surrogate (half a character)"
    return None


def file_prompt_id(stem: str) -> str:
    """Partition key of a JSON file: its stem in NFC, with a hash where something had to be replaced or cut.

    Letters, marks and digits of every script stay, and `_` and `-`; at most 100 characters and 200 bytes.
    """
    if has_surrogates(stem):  # bytes of no known encoding
        return former_file_prompt_id(stem)
    kept = "".join(c if is_word_character(c) else "_" for c in unicodedata.normalize("NFC", stem))
    if kept == stem and len(kept) <= _MAX_STEM and len(kept.encode()) <= _MAX_STEM_BYTES:
        return _FILE_ID + stem
    short = kept[: _MAX_STEM - 9].encode()[: _MAX_STEM_BYTES - 9].decode(errors="ignore")
    return f"{_FILE_ID}{short}-{_digest(stem)}"


def former_file_prompt_id(stem: str) -> str:
    """The partition key of a JSON file before 0.2: in ASCII. Prompts that are on record under it keep it."""
    return _FILE_ID + safe_name(stem, _MAX_STEM)


def safe_name(name: str, length: int = MAX_ID_LENGTH) -> str:
    """A name reduced to `[A-Za-z0-9_-]` and a length, with a short hash of the original where that changed it."""
    reduced = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    if reduced == name and len(name) <= length:
        return name
    return f"{reduced[: length - 9]}-{_digest(name)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def safe_prefix(name: str) -> str:
    """A name as a valid beginning of a file name: no path parts, no control characters, not hidden, not too long."""
    clean = _NOT_IN_NAMES.sub("_", name).strip(" .") or "image"
    return clean.encode()[:MAX_PREFIX_BYTES].decode(errors="ignore")
