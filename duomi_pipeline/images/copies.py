"""Copies of saved pictures under other names, for users. Pictures and records do not change."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from upath import UPath

from duomi_pipeline.images.metadata import OWN_KEY, read_texts
from duomi_pipeline.images.png_chunks import with_texts
from duomi_pipeline.images.store import ImageStore


def save_copies(store: ImageStore, pictures: Sequence[UPath], prefix: str) -> list[str]:
    """Save copies of PNG files as `{prefix}_{timestamp}.png`, with `_1`, `_2` for several. Returns their names.

    Raises:
        OSError, BrokenPngError: a picture cannot be read or is not a whole PNG; nothing is written.
        StoreError: a copy cannot be written.
    """
    copies = [_as_copy(picture) for picture in pictures]
    names = store.names(prefix, datetime.now(UTC), len(copies))
    for name, copy in zip(names, copies, strict=True):
        store.save(name, copy)
    return names


def _as_copy(picture: UPath) -> bytes:
    """The same pixels and texts, with our record nested in another one: so it is never recorded as a purchase."""
    data = picture.read_bytes()
    own = dict(read_texts(data)).get(OWN_KEY, "null")
    record = {"copy_of": picture.name, "generation": json.loads(own)}
    return with_texts(data, {OWN_KEY: json.dumps(record, ensure_ascii=False)})
