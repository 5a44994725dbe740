"""The gallery's data in parts of some hundred cards, each three JavaScript files named by their content.

A page opened from disk can load scripts, and nothing else. `columns-…js` holds what sorting and filtering need, and is
loaded at once; `cards-…js` what cards and search need, `details-…js` what the large view needs, both when needed.
"""

import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from duomi_pipeline.common.places import Place, fetch, publish
from duomi_pipeline.common.text import SURROGATES
from duomi_pipeline.gallery.rows import Row

KINDS = ("columns", "cards", "details")
_LEAST, _MOST, _BOUNDARY = 500, 2_500, 1_000  # cards
_CODED = ("state", "source", "model", "flags")  # columns of few different values
_CARD = ("text", "picture", "reason", "seeds")
# U+2028 and U+2029 end a line in old JavaScript; `<`, `>` and `&` could end a script element or open a comment.
_UNSAFE = re.compile(f"[<>&\u2028\u2029{SURROGATES}]")


@dataclass(frozen=True)
class Part:
    """One part as it was written.

    Attributes:
        keys: of its files, in the order of `KINDS`: digests of what they hold.
        marks: of its cards, in their order; see `marks`.
        models: how many versions each model made.
        flags: how many cards have a flag of each kind.
    """

    keys: tuple[str, ...]
    marks: tuple[str, ...]
    models: Mapping[str, int]
    flags: Mapping[str, int]

    @property
    def names(self) -> list[str]:
        """Of its files."""
        return [_name(kind, key) for kind, key in zip(KINDS, self.keys, strict=True)]


def divided(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Ids cut into parts, most of them at the same ids as before where some come or go: the other parts stay."""
    start = 0
    for place, prompt_id in enumerate(ids):
        count = place - start
        if count >= _MOST or (count >= _LEAST and zlib.crc32(prompt_id.encode()) % _BOUNDARY == 0):
            yield ids[start:place]
            start = place
    if ids:
        yield ids[start:]


def script(kind: str, content: Any, key: str | None = None) -> str:
    """One call of `duomi.receive` as JavaScript text; whatever a prompt holds, it stays a string in there."""
    return _call(kind, _text(content), key)


def write_part(folder: Place, there: Collection[str], rows: Sequence[Row], marks: Sequence[str]) -> Part:
    """Write the files of a part that are not there yet.

    Args:
        folder: the gallery's `data` folder.
        there: names of the files in it.
        rows: its cards.
        marks: of these.

    Raises:
        OSError: one cannot be written.
    """
    details = [row.details for row in rows]
    contents = (_columns([row.columns for row in rows]), _by_name([row.card for row in rows], _CARD), details)
    keys = tuple(_write(folder, there, kind, content) for kind, content in zip(KINDS, contents, strict=True))
    models = Counter(version["model"] for one in details for version in one["versions"])
    flags = Counter(kind for row in rows for kind in row.columns["flags"])
    return Part(keys, tuple(marks), dict(models), dict(flags))


def read_part(folder: Place, part: Part) -> list[Row] | None:
    """The cards of a part; `None` if a file of it cannot be read, or is not as it was written."""
    contents = []
    for kind, key in zip(KINDS, part.keys, strict=True):
        with suppress(OSError, UnicodeDecodeError):
            text = fetch(folder / _name(kind, key)).decode()
            text = text.removeprefix(f'duomi.receive("{kind}","{key}",').removesuffix(");\n")
            if _key(text) == key:
                contents.append(json.loads(text))
    if len(contents) < len(KINDS):
        return None
    columns, cards, details = contents
    for name in _CODED:
        columns[name] = [columns[name]["names"][code] for code in columns[name]["codes"]]
    return [
        Row(
            {name: values[place] for name, values in columns.items()},
            {name: values[place] for name, values in cards.items()},
            one,
        )
        for place, one in enumerate(details)
    ]


def _columns(columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = _by_name(columns, columns[0])
    return {name: _coded(values) if name in _CODED else values for name, values in found.items()}


def _by_name(some: Sequence[Mapping[str, Any]], names: Collection[str]) -> dict[str, list[Any]]:
    return {name: [one[name] for one in some] for name in names}


def _coded(values: Sequence[Any]) -> dict[str, Any]:
    """Values as a list of the different ones, and the place in it of each."""
    names: dict[str, Any] = {}
    texts = [repr(value) for value in values]
    for text, value in zip(texts, values, strict=True):
        names.setdefault(text, value)
    codes = {text: code for code, text in enumerate(names)}
    return {"names": list(names.values()), "codes": [codes[text] for text in texts]}


def _write(folder: Place, there: Collection[str], kind: str, content: Any) -> str:
    """Named by its content: what did not change is not written again, and a browser's cache never shows old data."""
    text = _text(content)
    key = _key(text)
    if _name(kind, key) not in there:
        publish(folder / _name(kind, key), _call(kind, text, key).encode())
    return key


def _call(kind: str, text: str, key: str | None) -> str:
    arguments = f'"{kind}"' if key is None else f'"{kind}","{key}"'
    return f"duomi.receive({arguments},{text});\n"


def _name(kind: str, key: str) -> str:
    return f"{kind}-{key}.js"


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _text(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)
