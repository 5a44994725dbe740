"""Small WebPs of the pictures, made once per file: a picture is never overwritten, so neither is its thumbnail."""

import io
import os
from collections.abc import Callable, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from duomi_pipeline.common.places import Place, fetch, names_in, publish, remove

BOX = (256, 456)  # pixels: sharp at 256 CSS pixels, and at 128 on a screen of double density
_QUALITY = 70
_WORKERS = min(8, os.cpu_count() or 1)


def thumbnail_name(file: str) -> str:
    """The thumbnail's name of a picture file; `data.js` derives the same."""
    return f"{file.removesuffix('.png')}.webp"


def make_thumbnails(
    pictures: Place, folder: Place, files: Set[str], progress: Callable[[int, int], None] | None = None
) -> int:
    """Make the thumbnails that are not there yet, and remove those of pictures that are gone.

    Args:
        pictures: the folder of pictures.
        folder: the folder of thumbnails.
        files: names of the pictures that are shown.
        progress: called with the number done and the total.

    Returns:
        How many were made. A damaged picture gets none; the page shows a placeholder.
    """
    there, missing = names_in(folder), []
    for file in files:
        name = thumbnail_name(file)
        if name in there:
            there.remove(name)
        else:
            missing.append(file)
    for name in there:
        remove(folder / name)
    missing.sort()
    made = 0
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="duomi-thumbnail") as pool:
        done = pool.map(lambda file: _make(pictures / file, folder / thumbnail_name(file)), missing)
        for number, is_made in enumerate(done, 1):
            made += is_made
            if progress is not None:
                progress(number, len(missing))
    return made


def _make(picture: Place, thumbnail: Place) -> bool:
    small_file = io.BytesIO()
    try:
        source = picture if isinstance(picture, Path) else io.BytesIO(fetch(picture))
        with Image.open(source) as opened:
            factor = max(1, min(opened.width // (2 * BOX[0]), opened.height // (2 * BOX[1])))
            small = (opened if opened.mode in ("RGB", "RGBA", "L") else opened.convert("RGB")).reduce(factor)
        small.thumbnail(BOX, Image.Resampling.LANCZOS)
        small.save(small_file, "WEBP", quality=_QUALITY, method=4)
        publish(thumbnail, small_file.getvalue())
    except (OSError, SyntaxError, ValueError):
        return False
    return True
