"""Markdown for metadata: tables of outside text."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from duomi_pipeline.common.text import safe

_CELL = 120  # characters
_INTERPRETED = re.compile(r"[\\|`*_\[\]#!~]")  # by Markdown; what HTML interprets is escaped besides


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Outside text as one cell, shortened, and escaped so that it is not interpreted."""
    short = " ".join(text.split())
    short = safe(short if len(short) <= _CELL else f"{short[: _CELL - 1]}…")
    return escape(_INTERPRETED.sub(r"\\\g<0>", short), quote=False)
