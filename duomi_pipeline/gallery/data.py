"""The gallery's `data` folder: parts that changed are written anew, then the index that names all of them.

`index.js` holds the parts in their order, counts over all cards, and what the page should know besides.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from duomi_pipeline.common.places import Place, names_in, publish_changed, remove
from duomi_pipeline.gallery.edition import Edition, last_edition
from duomi_pipeline.gallery.parts import Part, divided, read_part, script, write_part
from duomi_pipeline.gallery.rows import Row

SCHEMA = 2
_INDEX = "index.js"

Make = Callable[[Sequence[str]], Iterable[Row]]  # the rows of some prompt ids, in their order


def write_data(folder: Place, marks: Mapping[str, str], make: Make, about: Mapping[str, Any], based_on: str) -> bool:
    """Write the parts that changed, then the index, then remove those that it does not name.

    Args:
        folder: of the gallery.
        marks: of all cards by prompt id, in the order of the page: the same mark, the same card.
        make: makes those cards of which no earlier writing has the mark.
        about: what the page should know besides: where the pictures lie, the currency.
        based_on: what all cards depend on besides their marks.

    Returns:
        Whether anything differs from the last writing.

    Raises:
        OSError: a file cannot be written.
    """
    data = folder / "data"
    old, there = last_edition(folder), names_in(data)
    usable = [part for part in old.parts if old.about == based_on and there.issuperset(part.names)]
    whole = {part.marks: part for part in usable}
    wanted = [(ids, tuple(marks[prompt_id] for prompt_id in ids)) for ids in divided(list(marks))]
    kept = {wanted_marks for _, wanted_marks in wanted if wanted_marks in whole}
    cards = _Cards(data, [part for part in usable if part.marks not in kept], make)
    parts = [whole.get(one) or write_part(data, there, cards.rows(ids, one), one) for ids, one in wanted]
    new = Edition(based_on, tuple(parts))
    index = {
        "schema": SCHEMA,
        "total": len(marks),
        **about,
        "parts": [[len(part.marks), *part.keys] for part in parts],
        "models": list(_summed(part.models for part in parts)),
        "flags": _summed(part.flags for part in parts),
    }
    is_new = publish_changed(data / _INDEX, script("index", index).encode())
    named = {_INDEX, *(name for part in parts for name in part.names)}
    for name in there - named:
        remove(data / name)
    if new != old:
        new.save(folder)
    return is_new


class _Cards:
    """Cards as they were written before, where they are the same, or as they are made now."""

    def __init__(self, data: Place, changed: Sequence[Part], make: Make) -> None:
        self._make = make
        self._places = {mark: (part, at) for part, one in enumerate(changed) for at, mark in enumerate(one.marks)}
        # A part that changed is mostly made of one or two earlier ones.
        self._read = lru_cache(2)(lambda part: read_part(data, changed[part]))

    def rows(self, ids: Sequence[str], marks: Sequence[str]) -> list[Row]:
        """Some cards by prompt id, in this order."""
        found = [self._written(mark) for mark in marks]
        made = iter(self._make([prompt_id for prompt_id, row in zip(ids, found, strict=True) if row is None]))
        return [row or next(made) for row in found]

    def _written(self, mark: str) -> Row | None:
        if mark not in self._places:
            return None
        part, at = self._places[mark]
        rows: list[Row] | None = self._read(part)
        return rows[at] if rows else None


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts of several parts together, the most common first."""
    found: Counter[str] = Counter()
    for some in counts:
        found.update(some)
    return dict(found.most_common())
