"""The result of listing the folder of pictures: which files are present, and which cannot be read.

Unreadable is not gone: an error of the store, an entry that vanishes meanwhile, an empty placeholder of a cloud drive
are *unknown*, and nothing is bought for them.
"""

import hashlib
import marshal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

PICTURE = ".png"


class Presence(StrEnum):
    """Whether a recorded file exists."""

    PRESENT = "present"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Listing:
    """One listing of the folder.

    Attributes:
        sizes: in bytes, of every picture by name.
        unknown: reason, by name, of entries that cannot be read.
        problem: why the whole folder cannot be listed; empty if it can.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    def presence(self, name: str, size: int) -> Presence:
        """Whether a file exists with the size that was written. One of another size is not that picture."""
        if self.problem or name in self.unknown:
            return Presence.UNKNOWN
        return Presence.PRESENT if self.sizes.get(name) == size else Presence.GONE

    def presence_of_all(self, files: Iterable[tuple[str, int]]) -> Presence:
        """The same for several files, by name and size, that are used only together; without any: gone."""
        worst = None
        for name, size in files:
            found = self.presence(name, size)
            if found is Presence.GONE:
                return found
            worst = found if worst is None or found is Presence.UNKNOWN else worst
        return worst or Presence.GONE

    def digest(self) -> str:
        """The same one where the folder is known to be the same; empty where something of it cannot be read."""
        if self.problem or self.unknown:
            return ""
        content = marshal.dumps({**self.sizes}, 2)  # in this version the same values are the same bytes
        return hashlib.blake2b(content, digest_size=16).hexdigest()

    def why_unknown(self, name: str) -> str:
        """Why it is unknown whether a file exists."""
        return self.problem or self.unknown.get(name, "")


def listing_of(sizes: Mapping[str, int], unknown: Mapping[str, str] | None = None) -> Listing:
    """The listing of these files; empty ones are unknown: cloud drives leave such placeholders."""
    if 0 not in sizes.values():
        return Listing(sizes, unknown or {})
    empty = {name: "it is empty: a placeholder of a cloud drive?" for name, size in sizes.items() if not size}
    return Listing({name: size for name, size in sizes.items() if size}, {**(unknown or {}), **empty})
