"""Mask the API key in texts of the service, in all forms in which services repeat it."""

import base64
import html
import re
from collections.abc import Iterator
from urllib.parse import quote_plus

_SHORTEST_SECRET = 8  # characters: a shorter key is a word, such as `any`, that answers hold by chance


class Mask:
    """Replaces a key by `***`.

    Each character may stand as it is or escaped: for JSON (also JSON inside JSON), for addresses (however often), for
    HTML. The whole may be base64, alone or with what stands before and after it, such as `Basic`'s colon.

    Args:
        key: the secret; a short or empty one is not masked.
    """

    def __init__(self, key: str) -> None:
        forms = ["".join(map(_forms, key)), *_base64(key)]
        self._pattern = re.compile("|".join(forms)) if len(key) >= _SHORTEST_SECRET else None

    def __call__(self, text: str) -> str:
        """The text without the key."""
        return self._pattern.sub("***", text) if self._pattern else text


def _forms(character: str) -> str:
    """A pattern for one character in all its forms."""
    number = ord(character)
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in character.encode("utf-8", "replace"))
    entity = html.escape(character)
    as_html = (f"{entity}|" if entity != character else "") + rf"&#(?:0*{number}|(?i:x0*{number:x}));"
    as_json = rf"\\{{0,8}}(?:{re.escape(character)}|\\(?i:u{number:04x}))"
    return rf"(?:(?i:{percent})|{as_html}|{as_json}|{re.escape(quote_plus(character))})"


def _base64(key: str) -> Iterator[str]:
    """Patterns for the key in base64, by how many bytes of a group of three stand before it.

    What its first and last characters are depends on the neighbours: whatever stands there goes as well.
    """
    secret = key.encode("utf-8", "replace")
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret).decode()
        start, end = (0, 2, 3)[before], (len(secret) + before) * 8 // 6
        own = re.escape(encoded[start:end]).replace(r"\+", "(?:[+-]|%2[Bb])").replace("/", "(?:[/_]|%2[Ff])")
        edge = "[A-Za-z0-9+/_-]"
        yield (f"{edge}?" if before else "") + own + f"{edge}?=*"
