"""Resizes a decoded picture to the delivery size: upright, in plain colours, cropped from its centre.

Large pictures strip by strip: in one call Pillow holds up to four more pictures of either size.
"""

import math
from itertools import pairwise

from PIL import Image, ImageOps

from duomi_pipeline.images.bounds import check_fitting
from duomi_pipeline.images.tones import has_profile, in_srgb, turn_upright
from duomi_pipeline.settings import Size

_LARGE = 4096 * 4096  # pixels before or after, above which it is done in strips
_STRIP = 4_000_000  # pixels before or after
_REACH = 3  # neighbouring rows that Lanczos reads, in the coarser of both grids
_FILTER = Image.Resampling.LANCZOS


def fit(picture: Image.Image, delivery: Size) -> Image.Image:
    """A picture in the delivery size; never stretched. It may be turned upright in place.

    Raises:
        NotAPictureError: it would take too much memory.
    """
    turn_upright(picture)
    is_plain = picture.mode in ("L", "RGB", "RGBA")
    check_fitting(Size(*picture.size), delivery, copies=(not is_plain) + has_profile(picture))
    plain = in_srgb(picture)
    if plain.size == delivery:
        return plain
    most = max(plain.width * plain.height, delivery.width * delivery.height)
    return ImageOps.fit(plain, delivery, _FILTER) if most <= _LARGE else _in_strips(plain, delivery, -(-most // _STRIP))


def _in_strips(picture: Image.Image, delivery: Size, strips: int) -> Image.Image:
    scale = min(picture.width / delivery.width, picture.height / delivery.height)
    left = max(0.0, (picture.width - scale * delivery.width) / 2)
    top = max(0.0, (picture.height - scale * delivery.height) / 2)
    right, reach = picture.width - left, math.ceil(_REACH * max(scale, 1)) + 1
    fitted = Image.new(picture.mode, delivery)
    edges = [delivery.height * number // strips for number in range(strips + 1)]
    for begin, end in pairwise(edges):
        if begin < end:
            first = max(0, math.floor(top + begin * scale) - reach)
            last = min(picture.height, math.ceil(top + end * scale) + reach)
            box = (left, top + begin * scale - first, right, min(top + end * scale - first, last - first))
            strip = picture.crop((0, first, picture.width, last))
            fitted.paste(strip.resize((delivery.width, end - begin), _FILTER, box), (0, begin))
    return fitted
