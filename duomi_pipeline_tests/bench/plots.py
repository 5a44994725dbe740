"""The plots of `docs/benchmarks.md`, as SVG written by hand: a library would be installed for four pictures alone."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from duomi_pipeline_tests.bench.tables import Table, read_tables

Series = Mapping[str, Mapping[str, float]]  # seconds by row, of each series

_WIDTH, _LEFT, _RIGHT, _LINE, _TOP = 760, 350, 60, 18, 58  # pixels
_COLOURS = ("#9ec5c0", "#00796b", "#e0a96d", "#a8551f")  # light and dark, of two kinds
_DECADES = (0.01, 0.1, 1, 10, 100, 1_000)  # seconds


def draw(folder: Path) -> None:
    """Draw all plots anew from the tables in a folder, and put them there."""
    tables = read_tables(folder)
    for kind, name in (("14 kB", "small_pictures"), ("2.6 MB", "large_pictures")):
        days = {
            table.day: table.numbers("wall s") for table in tables if table.title.startswith(f"{kind} pictures, 0.2")
        }
        two = dict(list(days.items())[-2:])
        _write(folder / f"{name}.svg", f"500 pictures of {kind}, 0.2 s each, 32 at a time: seconds", two)
    scale = _newest(tables, ("rows of a table", "JSON files"))
    _write(folder / "scale.svg", "Among many prompts: seconds", scale, is_logarithmic=True)
    million = _newest(tables, ("prompts, one by one",))
    _write(folder / "million.svg", "Part by part: seconds", million, is_logarithmic=True)


def _newest(tables: Sequence[Table], ends: Sequence[str]) -> Series:
    """The tables of the newest day that has any whose title ends so."""
    found = [table for end in ends for table in tables if table.title.endswith(end)]
    newest = max((table.day for table in found), default="")
    return {table.title: table.numbers("wall s") for table in found if table.day == newest}


def _write(path: Path, title: str, series: Series, *, is_logarithmic: bool = False) -> None:
    if series:
        path.write_text(dots(title, series) if is_logarithmic else bars(title, series), encoding="utf-8")


def bars(title: str, series: Series) -> str:
    """A bar and its value for each row of each series."""
    most, parts, top = max(max(values.values()) for values in series.values()), list[str](), _TOP
    for row in _rows(series):
        parts.append(_text(_LEFT - 8, top + 13, row, "end"))
        for number, values in enumerate(series.values()):
            if row in values:
                width = (_WIDTH - _LEFT - _RIGHT) * values[row] / most
                bar = f'<rect x="{_LEFT}" y="{top + 2}" width="{width:.1f}" height="{_LINE - 4}"'
                parts.append(f'{bar} fill="{_colour(number, series)}"/>')
                parts.append(_text(_LEFT + width + 5, top + 13, f"{values[row]:g}"))
                top += _LINE
        top += 6
    return _page(title, series, parts, top)


def dots(title: str, series: Series) -> str:
    """A dot for each row of each series, on a logarithmic scale."""
    top, parts = _TOP + 4, list[str]()
    bottom = top + _LINE * len(_rows(series))
    for decade in _DECADES:
        place = _place(decade)
        parts.append(f'<path d="M{place:.1f} {top}V{bottom}" stroke="#ddd"/>')
        parts.append(_text(place, bottom + 14, f"{decade:g}", "middle"))
    for row in _rows(series):
        parts.append(_text(_LEFT - 8, top + 13, row, "end"))
        for number, values in enumerate(series.values()):
            if row in values:
                dot = f'<circle cx="{_place(values[row]):.1f}" cy="{top + 9}" r="4.5"'
                parts.append(f'{dot} fill="{_colour(number, series)}"><title>{values[row]:g} s</title></circle>')
        top += _LINE
    return _page(title, series, parts, bottom + 20)


def _rows(series: Series) -> list[str]:
    """The names of all rows, in the order in which they come."""
    return list(dict.fromkeys(row for values in series.values() for row in values))


def _place(seconds: float) -> float:
    first, last = math.log10(_DECADES[0]), math.log10(_DECADES[-1])
    share = (math.log10(max(seconds, _DECADES[0])) - first) / (last - first)
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(share, 1)


def _colour(number: int, series: Series) -> str:
    """Light, then dark; a single series is dark."""
    return _COLOURS[(number + (len(series) == 1)) % len(_COLOURS)]


def _page(title: str, series: Series, parts: Sequence[str], height: int) -> str:
    legend, left = list[str](), 16
    for number, name in enumerate(series):
        legend.append(f'<circle cx="{left + 5}" cy="42" r="5" fill="{_colour(number, series)}"/>')
        legend.append(_text(left + 14, 46, name))
        left += 30 + 7 * len(name)
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height + 8}" width="{_WIDTH}"'
    head = f'{opening} font-family="sans-serif" font-size="12" fill="#222">'
    paper = f'<rect width="{_WIDTH}" height="{height + 8}" rx="6" fill="#fff"/>'
    heading = f'<text x="16" y="24" font-size="14" font-weight="bold">{escape(title)}</text>'
    return "\n".join([head, paper, heading, *legend, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
