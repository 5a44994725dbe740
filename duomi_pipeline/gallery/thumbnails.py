"""Small WebPs of the pictures, made once per file: a picture is never overwritten, so neither is its thumbnail."""

import contextlib
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from duomi_pipeline.common.files import drafts

BOX = (256, 456)  # pixels: sharp at 256 CSS pixels, and at 128 on a screen of double density
_QUALITY = 70
_WORKERS = min(8, os.cpu_count() or 1)


def thumbnail_name(file: str) -> str:
    """The thumbnail's name of a picture file; `data.js` derives the same."""
    return f"{file.removesuffix('.png')}.webp"


def make_thumbnails(
    pictures: Path, folder: Path, files: Collection[str], progress: Callable[[int, int], None] | None = None
) -> int:
    """Make the thumbnails that are not there yet, and remove those of pictures that are gone.

    Args:
        pictures: the folder of pictures.
        folder: the folder of thumbnails.
        files: names of the pictures that are shown.
        progress: called with how many of how many are done.

    Returns:
        How many were made. A damaged picture gets none; the page shows a placeholder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with os.scandir(folder) as entries:
        there = {entry.name for entry in entries}
    wanted = {thumbnail_name(file): file for file in files}
    for name in there - wanted.keys():
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    to_make = sorted(wanted.keys() - there)
    made = 0
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="duomi-thumbnail") as pool:
        done = pool.map(lambda name: _make(pictures / wanted[name], folder / name), to_make)
        for number, is_made in enumerate(done, 1):
            made += is_made
            if progress is not None:
                progress(number, len(to_make))
    return made


def _make(picture: Path, thumbnail: Path) -> bool:
    try:
        with Image.open(picture) as opened:
            factor = max(1, min(opened.width // (2 * BOX[0]), opened.height // (2 * BOX[1])))
            small = (opened if opened.mode in ("RGB", "RGBA", "L") else opened.convert("RGB")).reduce(factor)
        small.thumbnail(BOX, Image.Resampling.LANCZOS)
        with drafts(thumbnail) as (draft,):
            small.save(draft, "WEBP", quality=_QUALITY, method=4)
    except (OSError, SyntaxError, ValueError):
        return False
    return True
