"""Any mode that is decoded to plain colours in the tones of the original: L, RGB or RGBA, as sRGB shows them.

Pillow's own conversion clips 16 bits to white, and forgets which colour was the transparent one. Its modes La and LAB
are in none of the formats that are read.
"""

import contextlib
import io
from functools import cache

from PIL import Image, ImageCms, ImageOps

_MAX_PROFILE = 1_000_000  # bytes; the largest in use, of presses, have about half of it
_WHITE = 65_535  # of 16 bits
_ORIENTATION = 0x0112  # a tag of Exif
_UPRIGHT = 1


def in_plain_colours(picture: Image.Image) -> Image.Image:
    """A picture in L, RGB or RGBA; the very same where it is in one of these and has no transparent colour."""
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return picture.convert("I").point(_to_eight_bits(), "L")
    if picture.has_transparency_data:
        return picture if picture.mode == "RGBA" else picture.convert("RGBA")
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def in_srgb(picture: Image.Image) -> Image.Image:
    """The same, with colours of an embedded profile converted to sRGB. An invalid profile is ignored."""
    plain = picture if picture.mode == "CMYK" else in_plain_colours(picture)
    if has_profile(picture):
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
            mode = "RGBA" if plain.mode == "RGBA" else "RGB"
            return ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode=mode) or plain
    return in_plain_colours(plain)


def has_profile(picture: Image.Image) -> bool:
    """Whether a picture has a colour profile of plausible size."""
    return 0 < len(picture.info.get("icc_profile") or b"") <= _MAX_PROFILE


def turn_upright(picture: Image.Image) -> None:
    """Rotate a picture in place as its Exif says; if that cannot be read, it stays as it is."""
    with contextlib.suppress(Exception):  # untrusted bytes can raise anything in a parser
        if picture.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
            ImageOps.exif_transpose(picture, in_place=True)


@cache
def _to_eight_bits() -> list[int]:
    """The tone of 8 bits for each of 16."""
    return [round(value * 255 / _WHITE) for value in range(_WHITE + 1)]
