"""Addresses in Dagster's UI that its metadata links to: its own pages, and what `webserver.site` serves beside it."""

from collections.abc import Iterable
from urllib.parse import quote

SITE = "/duomi/"
PICTURES = f"{SITE}pictures/"
GALLERY = f"{SITE}gallery"


def picture_address(file: str) -> str:
    """Where the UI's server has a picture of the folder, by its name."""
    return PICTURES + quote(file)


def gallery_address(states: Iterable[str]) -> str:
    """The gallery, filtered by states of prompts."""
    return f"{GALLERY}#state={'+'.join(states)}"


def partition_address(prompt_id: str) -> str:
    """The page of a prompt's partition of `generated_images`."""
    return f"/assets/generated_images?view=partitions&partition={quote(prompt_id, safe='')}"
