"""A card as the data files hold it: plain values, of which JSON gives back the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from duomi_pipeline.gallery.cards import Card, Step, Version


@dataclass(frozen=True, slots=True)
class Row:
    """One card.

    Attributes:
        columns: what sorting and filtering need, by name.
        card: what the small card and search need, by name.
        details: what the large view needs.
    """

    columns: dict[str, Any]
    card: dict[str, Any]
    details: dict[str, Any]


def row_of(card: Card) -> Row:
    """The row of a card."""
    return Row(
        {
            "id": card.id,
            "title": card.title,
            "state": card.state,
            "source": card.source,
            "model": card.model,
            "made": int(card.made_at),
            "versions": len(card.versions),
            "flags": list(dict.fromkeys(flag.kind for flag in card.flags)),
        },
        {
            "text": card.text,
            "picture": card.picture,
            "reason": card.reason,
            "seeds": list(dict.fromkeys(_seeds(card))),
        },
        {
            "origin": card.origin,
            "wanted": dict(card.wanted),
            "overrides": dict(card.overrides),
            "flags": [[flag.kind, flag.text] for flag in card.flags],
            "failures": [_step(step) for step in card.failures],
            "versions": [_version(version, card.text) for version in card.versions],
        },
    )


def _version(version: Version, text: str) -> dict[str, Any]:
    first = version.files[0]
    return {
        "files": [[file.file, file.bytes] for file in version.files],
        "model": version.model,
        "host": version.host_kind,
        "prompt": None if version.prompt == text else version.prompt,
        "seed": version.seed,
        "settings": dict(version.settings),
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
