"""A contact sheet: the thumbnails of a run in one picture. Thumbnails are made in `png`."""

import io
from collections.abc import Sequence

from PIL import Image, WebPImagePlugin

COLUMNS = 8
MOST = 40  # pictures on a sheet: it lives in Dagster's event log
_CELL = (72, 128)  # pixels
_GAP = 4
_BACKGROUND = (24, 24, 27)
_QUALITY = 45
_EFFORT = 3  # of 6: more of it saves no byte here
_WEBP = str(WebPImagePlugin.WebPImageFile.format)  # not known yet, Pillow imports its 40 formats to find it


def contact_sheet(thumbnails: Sequence[bytes]) -> bytes | None:
    """A WebP of the first `MOST` of some thumbnails, row by row; `None` of none at all.

    Args:
        thumbnails: our own, made by `png.to_png`.
    """
    some = thumbnails[:MOST]
    if not some:
        return None
    columns, rows = min(COLUMNS, len(some)), -(-len(some) // COLUMNS)
    width, height = _CELL[0] + _GAP, _CELL[1] + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), _BACKGROUND)
    for place, thumbnail in enumerate(some):
        picture = Image.open(io.BytesIO(thumbnail), formats=[_WEBP]).convert("RGB")
        picture.thumbnail(_CELL)
        left = _GAP + place % COLUMNS * width + (_CELL[0] - picture.width) // 2
        top = _GAP + place // COLUMNS * height + (_CELL[1] - picture.height) // 2
        sheet.paste(picture, (left, top))
    file = io.BytesIO()
    sheet.save(file, _WEBP, quality=_QUALITY, method=_EFFORT)
    return file.getvalue()
