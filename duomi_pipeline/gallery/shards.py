"""Cards as JavaScript files that a page opened from disk can load with plain script tags: nothing else loads there.

`data/index.js` holds what sorting and filtering need of all prompts, in columns; `cards-…js` what cards and search
need, `details-…js` what the large view needs, each for `SHARD` prompts and loaded when it is needed.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any

from duomi_pipeline.common.places import Place, names_in, publish, publish_changed, remove
from duomi_pipeline.common.text import SURROGATES
from duomi_pipeline.gallery.cards import Card, Step, Version

SHARD = 2_000
SCHEMA = 1
# U+2028 and U+2029 end a line in old JavaScript; `<`, `>` and `&` could end a script element or open a comment.
_UNSAFE = re.compile(f"[<>&\u2028\u2029{SURROGATES}]")


def script(name: str, content: Any, number: int | None = None) -> str:
    """One call of `duomi.receive` as JavaScript text; whatever a prompt holds, it stays a string in there."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    text = _UNSAFE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)
    arguments = json.dumps(name) if number is None else f"{json.dumps(name)},{number}"
    return f"duomi.receive({arguments},{text});\n"


def write_data(cards: Sequence[Card], folder: Place, about: Mapping[str, Any]) -> None:
    """Write the shards, then the index that names them, then remove those of earlier writings.

    Args:
        cards: all of them, in the order of the sources.
        folder: the gallery's `data` folder.
        about: what the page should know besides: where the pictures lie, the currency.
    """
    there = names_in(folder)
    names: dict[str, list[str]] = {"cards": [], "details": []}
    for number, start in enumerate(range(0, len(cards), SHARD)):
        some = cards[start : start + SHARD]
        for kind, content in (("cards", _cards(some)), ("details", [_details(card) for card in some])):
            names[kind].append(_write(folder, there, kind, script(kind, content, number)))
    index = {
        "schema": SCHEMA,
        "shard": SHARD,
        "total": len(cards),
        **about,
        "files": names,
        "models": list(dict(Counter(version.model for card in cards for version in card.versions).most_common())),
        "flags": dict(Counter(kind for card in cards for kind in _kinds(card)).most_common()),
        "columns": _columns(cards),
    }
    publish_changed(folder / "index.js", script("index", index).encode())
    for old in there - {"index.js", *names["cards"], *names["details"]}:
        remove(folder / old)


def _columns(cards: Sequence[Card]) -> dict[str, Any]:
    order = sorted(range(len(cards)), key=lambda row: (_natural(cards[row].title), _natural(cards[row].id)))
    rank = [0] * len(cards)
    for place, row in enumerate(order):
        rank[row] = place
    return {
        "id": [card.id for card in cards],
        "title": [card.title for card in cards],
        "rank": rank,
        "state": _coded([card.state for card in cards]),
        "source": _coded([card.source for card in cards]),
        "model": _coded([card.model for card in cards]),
        "made": [int(card.made_at) for card in cards],
        "versions": [len(card.versions) for card in cards],
        "flags": _coded([_kinds(card) for card in cards]),
    }


def _cards(cards: Sequence[Card]) -> dict[str, Any]:
    return {
        "text": [card.text for card in cards],
        "picture": [card.picture for card in cards],
        "reason": [card.reason for card in cards],
        "seeds": [list(dict.fromkeys(_seeds(card))) for card in cards],
    }


def _details(card: Card) -> dict[str, Any]:
    return {
        "origin": card.origin,
        "wanted": card.wanted,
        "overrides": card.overrides,
        "flags": [[flag.kind, flag.text] for flag in card.flags],
        "failures": [_step(step) for step in card.failures],
        "versions": [_version(version, card.text) for version in card.versions],
    }


def _version(version: Version, text: str) -> dict[str, Any]:
    first = version.files[0]
    return {
        "files": [[file.file, file.bytes] for file in version.files],
        "model": version.model,
        "host": version.host_kind,
        "prompt": None if version.prompt == text else version.prompt,
        "seed": version.seed,
        "settings": version.settings,
        "size": first.size,
        "received": first.received_size,
        "delivery": version.delivery_size,
        "at": int(first.saved_at),
        "cost": version.cost,
        "current": version.current,
        "steps": [_step(step) for step in version.steps],
    }


def _step(step: Step) -> list[Any]:
    return [int(step.at), step.what, step.price]


def _seeds(card: Card) -> Iterator[str]:
    """Those of all versions as text: asked for, and told by the answer."""
    for version in card.versions:
        if "seed" in version.settings:
            yield version.settings["seed"]
        if version.seed is not None:
            yield str(version.seed)


def _kinds(card: Card) -> tuple[str, ...]:
    return tuple(dict.fromkeys(flag.kind for flag in card.flags))


def _coded(values: Sequence[Hashable]) -> dict[str, Any]:
    """A column of few different values as their list and a number per row."""
    known = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return {"names": list(known), "codes": [known[value] for value in values]}


def _natural(text: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d{1,18})", text.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _write(folder: Place, there: Collection[str], kind: str, text: str) -> str:
    """Named by its content: what did not change is not written again, and a browser's cache never shows old data."""
    name = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.js"
    if name not in there:
        publish(folder / name, text.encode())
    return name
