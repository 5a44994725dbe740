"""The API key taken out of what a service says, in all forms in which services repeat it."""

import html
import re
from urllib.parse import quote_plus

_SHORTEST_SECRET = 8  # characters: a shorter key is a word, such as `any`, that answers hold by chance


class Mask:
    """Replaces a key by `***`.

    Each character may stand as it is or escaped: for JSON (also JSON inside JSON), for addresses, for HTML.

    Args:
        key: the secret; a short or empty one is not looked for.
    """

    def __init__(self, key: str) -> None:
        self._pattern = re.compile("".join(map(_forms, key))) if len(key) >= _SHORTEST_SECRET else None

    def __call__(self, text: str) -> str:
        """The text without the key."""
        return self._pattern.sub("***", text) if self._pattern else text


def _forms(character: str) -> str:
    """A pattern for one character in all its forms."""
    number = ord(character)
    percent = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "replace"))
    entity = html.escape(character)
    as_html = (f"{entity}|" if entity != character else "") + rf"&#(?:0*{number}|(?i:x0*{number:x}));"
    as_json = rf"\\{{0,8}}(?:{re.escape(character)}|\\(?i:u{number:04x}))"
    return rf"(?:(?i:{percent})|{as_html}|{as_json}|{re.escape(quote_plus(character))})"
