"""What was written last: the gallery's parts and the marks of their cards, kept in `.written.json` beside the page.

Where it is missing, or does not fit, all is made anew.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass

from duomi_pipeline.common.places import Place, fetch, publish
from duomi_pipeline.gallery.parts import Part

NAME = ".written.json"


@dataclass(frozen=True)
class Edition:
    """One writing of the data.

    Attributes:
        about: what all cards depend on; another text: none of them is as it would be now.
        parts: in their order.
    """

    about: str = ""
    parts: tuple[Part, ...] = ()

    def save(self, folder: Place) -> None:
        """Write it.

        Raises:
            OSError: it cannot be written.
        """
        publish(folder / NAME, json.dumps(asdict(self), separators=(",", ":")).encode())


def last_edition(folder: Place) -> Edition:
    """The edition that lies in a folder; an empty one where there is none that can be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(fetch(folder / NAME))
        parts = (
            Part(tuple(one["keys"]), tuple(one["marks"]), dict(one["models"]), dict(one["flags"]))
            for one in found["parts"]
        )
        return Edition(str(found["about"]), tuple(parts))
    return Edition()
