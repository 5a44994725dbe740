"""A word-by-word comparison of two texts, for a terminal. Escaping untrusted text is in `common.text`."""

import difflib
import re
from collections.abc import Iterator
from typing import Literal

import click

from duomi_pipeline.common.text import safe

_WORD = re.compile(r"[^\W_]+|\s+|[\W_]")


def word_diff(old: str, new: str, *, colour: bool) -> str:
    """Both texts in one: removed words red and struck through or in `[-…-]`, added ones green or in `{+…+}`."""
    parts = []
    for what, text in _changes(_WORD.findall(safe(old)), _WORD.findall(safe(new))):
        if what == "equal":
            parts.append(text)
        elif what == "removed":
            parts.append(click.style(text, fg="red", strikethrough=True) if colour else f"[-{text}-]")
        else:
            parts.append(click.style(text, fg="green", bold=True) if colour else f"{{+{text}+}}")
    return "".join(parts)


def _changes(old: list[str], new: list[str]) -> Iterator[tuple[Literal["equal", "removed", "added"], str]]:
    for what, start, end, new_start, new_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            yield "equal", "".join(old[start:end])
            continue
        if start < end:
            yield "removed", "".join(old[start:end])
        if new_start < new_end:
            yield "added", "".join(new[new_start:new_end])
