"""Text of others on a terminal: shown, never obeyed; and two texts compared word by word."""

import difflib
import re
from collections.abc import Iterator
from typing import Literal

import click

# Control characters, separators of lines that are none for us, marks that turn the reading direction, half characters.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_WORD = re.compile(r"[^\W_]+|\s+|[\W_]")


def safe(text: str) -> str:
    """Text without what a terminal would obey: line ends stay, the rest is written out, as JSON does it too."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\r\n", "\n"))


def word_diff(old: str, new: str, *, colour: bool) -> str:
    """Both texts in one: what goes is red and struck through or in `[-…-]`, what comes is green or in `{+…+}`."""
    parts = []
    for what, text in _changes(_WORD.findall(safe(old)), _WORD.findall(safe(new))):
        if what == "stays":
            parts.append(text)
        elif what == "goes":
            parts.append(click.style(text, fg="red", strikethrough=True) if colour else f"[-{text}-]")
        else:
            parts.append(click.style(text, fg="green", bold=True) if colour else f"{{+{text}+}}")
    return "".join(parts)


def _changes(old: list[str], new: list[str]) -> Iterator[tuple[Literal["stays", "goes", "comes"], str]]:
    for what, start, end, new_start, new_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            yield "stays", "".join(old[start:end])
            continue
        if start < end:
            yield "goes", "".join(old[start:end])
        if new_start < new_end:
            yield "comes", "".join(new[new_start:new_end])
