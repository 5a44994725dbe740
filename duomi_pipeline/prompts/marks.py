"""Marks by which rows and files are known to be unchanged, so that only others are read.

The register keeps the mark of each row or file that gave a prompt. The same mark means the same prompt: it is made of
the row itself, or of the file's size, times and inode.
"""

import hashlib
import marshal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from duomi_pipeline.prompts.prompt import Problem

SETTLED = 2.0  # seconds after which a change gets another time than the last one, on any file system
_RULES = 3  # how prompts are made of rows and files; to be raised with each change that gives another prompt


def mark_of(*values: Any) -> int:
    """The mark of some values: 64 bits with a sign, as a database takes them."""
    try:
        content = marshal.dumps((_RULES, values), 2)  # in this version the same values are the same bytes
    except ValueError:  # of a type that only a database server has
        content = repr((_RULES, values)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), signed=True)


@dataclass(frozen=True)
class Before:
    """What the register has of a source from the last look.

    Attributes:
        stamp: of the whole source; empty where it has none, or where it was not read.
        prompts: how many it gave.
        problems: rows and files that gave none.
        marks: reads the marks of its prompts by origin, the place in the source; a prompt without a mark is to be read.
            `None` if two prompts have the same origin: then no marks are used.
    """

    stamp: str
    prompts: int
    problems: tuple[Problem, ...]
    marks: Callable[[], dict[str, int | None] | None]


class _Seen:
    """Stands in place of the mark of a row or file that was seen."""


_SEEN = _Seen()


class Marks:
    """The marks of one source while it is read: tells what is unchanged, and in the end what is gone.

    Args:
        known: the marks of its prompts by origin.

    Attributes:
        unchanged: how many rows or files are so.
    """

    def __init__(self, known: dict[str, int | None]) -> None:
        self._known: dict[str, int | _Seen | None] = {**known}
        self.unchanged = 0

    def is_unchanged(self, origin: str, mark: int) -> bool:
        """Whether the register has what is here; then the origin counts as seen."""
        if self._known.get(origin) != mark:
            return False
        self._known[origin] = _SEEN
        self.unchanged += 1
        return True

    def see(self, origin: str) -> None:
        """Note that the prompt of this origin was read."""
        self._known[origin] = _SEEN

    def unsee(self, origin: str) -> None:
        """Take back that it is unchanged: it is to be read."""
        self._known[origin] = None
        self.unchanged -= 1

    def was_seen(self, origin: str) -> bool:
        """Whether a prompt with this origin came before."""
        return self._known.get(origin) is _SEEN

    def gone(self) -> Iterator[str]:
        """The origins of prompts that were not seen."""
        return (origin for origin, mark in self._known.items() if mark is not _SEEN)
