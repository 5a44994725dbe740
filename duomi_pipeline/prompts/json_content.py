"""What a prompt file says: a JSON object, also one within a code fence, as language models write it.

If a key occurs twice in an object, the last one counts, as always in Python's JSON.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from duomi_pipeline.prompts.other_files import OWN_FILE
from duomi_pipeline.prompts.parameters import BadParametersError, checked_parameters
from duomi_pipeline.prompts.prompt import text_problem
from duomi_pipeline.settings import ParameterOverrides

_KEYS = ("image_prompt", "prompt")  # of the text; the first that is there counts
_FENCE = re.compile(r"(`{3,})[^`]*|(~{3,}).*")  # the line that opens a block, whatever stands behind it


class BadContentError(Exception):
    """A file without a usable prompt; the text says why."""


class NotJsonError(BadContentError):
    """The file is not valid JSON; it may still be written."""


@dataclass(frozen=True)
class Content:
    """A prompt as its file has it.

    Attributes:
        text: what to draw.
        overrides: the prompt's own parameters: `"generation"`, and `"negative_prompt"` beside it.
        notes: how it was read where the file is not as it should be.
    """

    text: str
    overrides: ParameterOverrides
    notes: tuple[str, ...] = ()


def read_content(data: bytes) -> Content:
    """The prompt in the bytes of a file: UTF-8, with or without a byte order mark.

    Raises:
        NotJsonError: it is not valid JSON.
        BadContentError: it has no prompt that can be used.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotJsonError(f"not UTF-8 text: {error.reason} at byte {error.start}; save it as UTF-8") from error
    notes = []
    try:
        content = _object(text)
    except NotJsonError:
        block = _fenced(text)
        if block is None:
            raise
        content = _object(block)
        notes.append("its JSON was read from within a code fence")
    key = next((key for key in _KEYS if content.get(key) is not None), None)
    if key is None:
        raise BadContentError('no "image_prompt"')
    if problem := text_problem(content[key]):
        raise BadContentError(f'"{key}" {problem}')
    if key != _KEYS[0]:
        notes.append(f'its text was read from "{key}": there is no "{_KEYS[0]}"')
    return Content(content[key], _overrides(content), tuple(notes))


def _fenced(text: str) -> str | None:
    """What stands between code fences; `None` where there are none.

    Raises:
        NotJsonError: a fence is not closed.
        BadContentError: there are several blocks; which of them is meant, nobody can tell.
    """
    blocks: list[str] = []
    block: list[str] = []
    fence = ""
    for line in text.split("\n"):
        bare = line.strip()
        if not fence:
            opened = _FENCE.fullmatch(bare)
            fence, block = (opened[1] or opened[2] if opened else ""), []
        elif bare.startswith(fence) and not bare.strip(fence[0]):
            blocks.append("\n".join(block))
            fence = ""
        else:
            block.append(line)
    if fence:
        raise NotJsonError(f"its code fence ({fence}) is not closed; close it, or leave nothing but the JSON")
    if len(blocks) > 1:
        raise BadContentError(f"holds {len(blocks):,} blocks in code fences, which may be as many prompts: {OWN_FILE}")
    return blocks[0] if blocks else None


def _object(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text[error.pos] in '{["':
            raise BadContentError(f"holds more than one JSON value: {OWN_FILE}") from error
        raise NotJsonError(f"not valid JSON: {error}") from error
    except (RecursionError, ValueError) as error:
        raise BadContentError(f"not usable JSON: {error}") from error
    if isinstance(content, list):
        raise BadContentError(f"holds a list of {len(content):,}, not an object: {OWN_FILE}")
    if not isinstance(content, dict):
        raise BadContentError(f"holds a {type(content).__name__}, not an object")
    return content


def _overrides(content: dict[str, Any]) -> ParameterOverrides:
    generation, negative = content.get("generation"), content.get("negative_prompt")
    if not isinstance(generation, dict | None):
        raise BadContentError('"generation" is not an object')
    parameters = {**(generation or {})}
    if negative not in (None, ""):
        parameters["negative_prompt"] = negative
    try:
        return checked_parameters(parameters)
    except BadParametersError as error:
        raise BadContentError(str(error)) from error
