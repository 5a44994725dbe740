"""One listing of the folder of pictures: which files are there, and which are unknown.

"Cannot look" is not "not there": an error of the store, an entry that vanishes while it is looked at, an empty
placeholder of a cloud drive are *unknown*, and nothing is bought for them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Presence(StrEnum):
    """What is known of a recorded file."""

    PRESENT = "present"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Listing:
    """One look at the folder.

    Attributes:
        sizes: in bytes, of every picture by name.
        unknown: entries of which nobody can tell, by name, and why.
        problem: why the whole folder cannot be looked at, empty where it can be.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    def presence(self, name: str, size: int) -> Presence:
        """Whether a file is there, with the size that was written. One of another size is not that picture."""
        if self.problem or name in self.unknown:
            return Presence.UNKNOWN
        return Presence.PRESENT if self.sizes.get(name) == size else Presence.GONE

    def presence_of_all(self, files: Iterable[tuple[str, int]]) -> Presence:
        """The same of several files, by name and size, that are of use only together; of none: gone."""
        worst = None
        for name, size in files:
            found = self.presence(name, size)
            if found is Presence.GONE:
                return found
            worst = found if worst is None or found is Presence.UNKNOWN else worst
        return worst or Presence.GONE

    def why_unknown(self, name: str) -> str:
        """Why nobody can tell of a file."""
        return self.problem or self.unknown.get(name, "")
