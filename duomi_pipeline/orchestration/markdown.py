"""Markdown for metadata: tables of outside text."""

from collections.abc import Iterable, Sequence

_CELL = 120  # characters


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Outside text as one cell, shortened, and escaped so that it is not interpreted."""
    short = " ".join(text.split())
    short = short if len(short) <= _CELL else f"{short[: _CELL - 1]}…"
    for character in "\\|`*_[]<>#!":
        short = short.replace(
            character,
            f"\\{character}" if character not in "<>" else f"&{'lt' if character == '<' else 'gt'};",
        )
    return short
