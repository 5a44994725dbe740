"""The saved tables, read back from their Markdown."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Table:
    """One table of a day.

    Attributes:
        day: `YYYY-MM-DD`.
        title: of the table, without `### `.
        columns: names, of which the first heads the names of the rows; of two of a name only the first counts.
        rows: their cells by their names, as text.
    """

    day: str
    title: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, day: str, title: str, lines: Iterable[str]) -> Self:
        """The table in the lines below a title; other lines are passed over."""
        cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
        head, _, *rows = cells
        return cls(day, title, head, {row[0].replace("`", ""): row for row in rows})

    def numbers(self, column: str) -> dict[str, float]:
        """The numbers of a column, by the name of their row."""
        place = self.columns.index(column)
        return {name: float(row[place]) for name, row in self.rows.items()}


def read_tables(folder: Path) -> list[Table]:
    """All tables of the files of days in a folder, the oldest day first."""
    found = []
    for path in sorted(folder.glob("????-??-??.md")):
        for part in re.split(r"^##+ ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            title, *lines = part.splitlines()
            if any(line.startswith("|") for line in lines):
                found.append(Table.of(path.stem, title, lines))
    return found
