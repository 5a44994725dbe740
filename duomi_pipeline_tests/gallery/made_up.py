"""Galleries of cards that were made up: without ledger, pictures or home."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from duomi_pipeline.gallery.cards import Card
from duomi_pipeline.gallery.data import write_data
from duomi_pipeline.gallery.rows import row_of
from duomi_pipeline.gallery.write import copy_page


def write_cards(folder: Path, cards: Sequence[Card], about: Mapping[str, Any]) -> None:
    """Write page and data of some cards."""
    by_id = {card.id: card for card in cards}
    marks = {card.id: repr(card) for card in cards}
    write_data(folder, marks, lambda ids: (row_of(by_id[prompt_id]) for prompt_id in ids), about, "")
    copy_page(folder)
