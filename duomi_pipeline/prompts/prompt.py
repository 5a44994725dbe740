"""The prompt, and what one look at a source gives. Sources are read in `table` and `json_files`."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from duomi_pipeline.common.text import CONTROLS, has_surrogates, one_line
from duomi_pipeline.settings import ParameterOverrides

SourceKind = Literal["database", "json", "single_prompt"]
MAX_ID_LENGTH = 100
MAX_TEXT = 500_000  # characters of a prompt; no service takes a tenth of it
MAX_PREFIX_BYTES = 200  # a file name holds 255 bytes: room for timestamp, index, ending and a temporary suffix
_MAX_SHOWN = 500  # characters of an origin or a reason
_NOT_IN_NAMES = re.compile(rf'[/\\:*?"<>|{CONTROLS}]')  # what file systems refuse, and what terminals obey


class SourceError(Exception):
    """A source as a whole cannot be read. Its prompts are unknown, not gone."""


class NoDatabaseError(SourceError):
    """There is no file where the database should be."""


@dataclass(frozen=True)
class Problem:
    """A row or file that gives no prompt, and why; as text one line that can be printed anywhere."""

    origin: str
    reason: str

    def __str__(self) -> str:
        return f"{one_line(self.origin, _MAX_SHOWN)}: {one_line(self.reason, _MAX_SHOWN)}"


@dataclass(frozen=True)
class Prompt:
    """One thing to draw.

    Attributes:
        id: partition key, `[A-Za-z0-9_-]`, at most 100 characters.
        text: the prompt as its author wrote it.
        source: which kind of source it came from.
        origin: where it stands, for people: `prompts.id=12` or a file name.
        file_prefix: how its picture files begin.
        overrides: parameters for this prompt alone, negative prompt included.
        image_id: `images.id` of a table row.
        name: what its author calls it (`descriptive_name` of a row), for people; `None` where nothing is said.
    """

    id: str
    text: str
    source: SourceKind
    origin: str
    file_prefix: str
    overrides: ParameterOverrides = field(default_factory=ParameterOverrides)
    image_id: int | None = None
    name: str | None = None

    @cached_property
    def version(self) -> str:
        """Fingerprint of what is drawn: text and overrides, nothing else of the row or file."""
        content = json.dumps([self.text, self.overrides.explicit()], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Reading:
    """What one look at a source gave.

    Attributes:
        prompts: the prompts, in the source's order.
        problems: rows and files that gave none.
        present: ids of prompts that are there but cannot be used now; they are not gone.
    """

    prompts: tuple[Prompt, ...] = ()
    problems: tuple[Problem, ...] = ()
    present: frozenset[str] = frozenset()


def text_problem(text: object) -> str | None:
    """Why something is no prompt text, as the end of a sentence; `None` if it is one."""
    if not isinstance(text, str):
        return f"is not text but {type(text).__name__}"
    if not text.strip():
        return "is empty"
    if len(text) > MAX_TEXT:
        return f"has {len(text):,} characters; more than {MAX_TEXT:,} are no prompt"
    if has_surrogates(text):
        return "holds half a character (a lone surrogate)"
    return None


def file_prompt_id(stem: str) -> str:
    """Partition key of a JSON file: its stem reduced to safe characters, with a hash where that changed it."""
    return "json_" + safe_name(stem, MAX_ID_LENGTH - len("json_"))


def safe_name(name: str, length: int = MAX_ID_LENGTH) -> str:
    """A name reduced to `[A-Za-z0-9_-]` and a length, with a short hash of the original where that changed it."""
    reduced = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    if reduced == name and len(name) <= length:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{reduced[: length - 9]}-{digest}"


def safe_prefix(name: str) -> str:
    """A name made fit to begin a file name: no path parts, no control characters, not hidden, not too long."""
    clean = _NOT_IN_NAMES.sub("_", name).strip(" .") or "image"
    return clean.encode()[:MAX_PREFIX_BYTES].decode(errors="ignore")
