"""What was written last: of each row a digest and where it stands in the files. Kept beside them, in `.written.json`.

With it only rows that changed are made anew. Where it is missing, or does not fit the files, all rows are. Its first
line, the imprint, is read alone where nothing has changed.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from duomi_pipeline.ledger import Mark

NAME = ".written.json"


@dataclass
class Imprint:
    """What was written, without its rows.

    Attributes:
        about: what all rows depend on; another text: none of them is as it would be now.
        left_out: digest of what gives no row.
        planned: digest of the rows that a plan made; the others are what the ledger has of the other prompts.
        mark: of the ledger, from before it was read; `None` where that is not known.
        files: size in bytes and time of change in nanoseconds of each file, by name.
    """

    about: str = ""
    left_out: str = ""
    planned: str = ""
    mark: Mark | None = None
    files: dict[str, list[int]] = field(default_factory=dict)

    def tells_the_same(self, other: "Imprint") -> bool:
        """Whether it is known, without their rows, that the files would be the same."""
        mine, others = ((one.planned, one.left_out, one.mark) for one in (self, other))
        return self.mark is not None and mine == others

    @classmethod
    def of(cls, line: str) -> "Imprint":
        """The imprint that was saved as a line.

        Raises:
            ValueError, TypeError: it is none.
        """
        found = cls(**json.loads(line))
        return found if found.mark is None else replace(found, mark=Mark(*found.mark))


@dataclass
class Edition:
    """One writing of the files; lists in the order of the rows.

    Attributes:
        imprint: what is known of it without its rows.
        ids, digests: prompt id of each row, and a digest of what it was made of.
        places: its rowid in the database; they grow, with room between them for new rows.
        csv, json: its bytes in these files.
    """

    imprint: Imprint = field(default_factory=Imprint)
    ids: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    csv: list[int] = field(default_factory=list)
    json: list[int] = field(default_factory=list)

    def tells_the_same(self, other: "Edition") -> bool:
        """Whether the files would be the same."""
        mine, others = ((edition.ids, edition.digests, edition.imprint.left_out) for edition in (self, other))
        return mine == others

    def save(self, path: Path) -> None:
        """Write it: a line of JSON for the imprint, another one for the rows.

        Raises:
            OSError: it cannot be written.
        """
        rows = {name: value for name, value in vars(self).items() if name != "imprint"}
        lines = (json.dumps(part, separators=(",", ":")) for part in (vars(self.imprint), rows))
        path.write_text("\n".join(lines), encoding="utf-8")


@dataclass(frozen=True)
class Kept:
    """Neighbouring rows that stay as they are: those of the last edition from `start` until before `stop`."""

    start: int
    stop: int


Part = Kept | list[str]  # rows that stay, or ids of rows that are made anew


def last_imprint(folder: Path, about: str) -> Imprint:
    """The imprint of what lies in a folder; an empty one where there is none, or a file is not as it was written."""
    with suppress(OSError, ValueError, TypeError), (folder / NAME).open(encoding="utf-8") as lines:
        found = Imprint.of(next(lines, ""))
        if found.about == about and found.files == stamps({name: folder / name for name in found.files}):
            return found
    return Imprint()


def last_edition(folder: Path, imprint: Imprint) -> Edition:
    """The edition with this imprint; an empty one where its rows cannot be read."""
    with suppress(OSError, ValueError, TypeError), (folder / NAME).open(encoding="utf-8") as lines:
        if imprint.files and Imprint.of(next(lines)) == imprint:
            return Edition(imprint, **json.loads(next(lines)))
    return Edition()


def stamps(files: Mapping[str, Path]) -> dict[str, list[int]]:
    """Size and time of change of files, by name.

    Raises:
        OSError: one is not there.
    """
    found = {name: path.stat() for name, path in files.items()}
    return {name: [status.st_size, status.st_mtime_ns] for name, status in found.items()}


def parts_of(old: Edition, new: Edition) -> list[Part]:
    """The next edition in its order: which rows stay.

    A row that stands elsewhere than before counts as changed: what is kept is read from front to back.
    """
    at = {prompt_id: number for number, prompt_id in enumerate(old.ids)}
    parts: list[Part] = []
    passed = start = -1  # `start`: of the rows that are kept up to the one before; -1 where that is made anew
    for prompt_id, digest in zip(new.ids, new.digests, strict=True):
        number = at.get(prompt_id, -1)
        is_kept = number > passed and old.digests[number] == digest
        if start >= 0 and not (is_kept and number == passed + 1):
            parts.append(Kept(start, passed + 1))
            start = -1
        if is_kept:
            start, passed = number if start < 0 else start, number
        elif parts and isinstance(last := parts[-1], list):
            last.append(prompt_id)
        else:
            parts.append([prompt_id])
    return parts if start < 0 else [*parts, Kept(start, passed + 1)]


_ROOM = 2**32  # between the places of two rows that were written together


def places_of(old: Edition, parts: Sequence[Part]) -> list[int]:
    """The place of each row of the next edition; not of all where new rows do not fit between old ones."""
    places: list[int] = []
    for number, part in enumerate(parts):
        if isinstance(part, Kept):
            places += old.places[part.start : part.stop]
            continue
        following = parts[number + 1] if number + 1 < len(parts) else None
        before = places[-1] if places else 0
        after = old.places[following.start] if isinstance(following, Kept) else before + (len(part) + 1) * _ROOM
        step = (after - before) // (len(part) + 1)
        if step == 0:
            return places
        places += range(before + step, before + step * len(part) + 1, step)
    return places
