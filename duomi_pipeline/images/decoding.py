"""Decodes untrusted bytes completely, within the limits of `bounds`; names the format of what is not read.

Read are the formats that image services send, or could: PNG, JPEG (also several in one, as phones make them), WebP,
AVIF, GIF and BMP; of several frames the first. Not read, because no service sends them and their parsers are a risk:
TIFF, JPEG 2000, ICO and the rest of Pillow's. HEIC and JPEG XL Pillow does not know.
"""

import re
from typing import NamedTuple

from PIL import Image, JpegImagePlugin, UnidentifiedImageError, features

from duomi_pipeline.images.bounds import BoundedFile, check_pixels, check_scans
from duomi_pipeline.images.errors import NotAPictureError
from duomi_pipeline.images.plain_pixels import plain_picture
from duomi_pipeline.images.png_chunks import SIGNATURE, BrokenPngError, png_size
from duomi_pipeline.images.salvage import salvage
from duomi_pipeline.images.unpacking import unpacked
from duomi_pipeline.settings import Size

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # no others are opened: the bytes are untrusted
_MAX_HEAD = 1_000  # bytes of text before a picture
_JPEG = b"\xff\xd8\xff"
_BEGINNING = re.compile(b"|".join(map(re.escape, (SIGNATURE, _JPEG))))
_NOT_READ = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\1\0": "ICO",
}


class Decoded(NamedTuple):
    """A decoded picture.

    Attributes:
        picture: its pixels, and what Pillow knows of it.
        kind: the format it came in, as Pillow calls it.
        data: the file; a PNG as it can be kept.
    """

    picture: Image.Image
    kind: str
    data: bytes


def decode(data: bytes) -> Decoded:
    """Decode a picture.

    Raises:
        NotAPictureError: not an image, cut off, damaged, too large, or of too many parts.
    """
    data = _without_head(data)
    try:
        if data.startswith(SIGNATURE):
            data, bare = salvage(data)
            check_pixels("PNG", png_size(data))
            picture, kind = _loaded_png(bare)
        else:
            picture, kind = _loaded(data)
    except UnidentifiedImageError as error:
        raise NotAPictureError(_what_else(data)) from error
    except BrokenPngError as error:
        raise NotAPictureError(str(error)) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise NotAPictureError(f"the picture is too large: {error}") from error
    except NotAPictureError:
        raise
    except Exception as error:  # untrusted bytes can raise anything in a decoder
        raise NotAPictureError(f"the picture is damaged: {error}") from error
    return Decoded(picture, kind, data)


def _loaded_png(bare: bytes) -> tuple[Image.Image, str]:
    compared = unpacked(bare)
    plain = plain_picture(compared) if compared else None
    return (plain, "PNG") if plain else _loaded(compared or bare)


def _loaded(data: bytes) -> tuple[Image.Image, str]:
    formats = (*_FORMATS, "AVIF") if _reads_avif() else _FORMATS
    picture = Image.open(BoundedFile(data), formats=formats)
    kind = picture.format or "unknown"
    check_pixels(kind, Size(*picture.size))
    if isinstance(picture, JpegImagePlugin.JpegImageFile):
        check_scans(picture, data)
    picture.load()
    # A decoder of animations keeps three more pictures in memory for its next frame, as long as it is there.
    return (picture.copy() if kind in ("WEBP", "AVIF") else picture), kind


def _reads_avif() -> bool:
    """Whether this Pillow was built with it; before 11.3 none was."""
    return "avif" in features.modules and features.check_module("avif")


def _without_head(data: bytes) -> bytes:
    """A file without the text before it: blank lines, a byte order mark, the head of a part of a multipart answer.

    Only text: the small picture that other bytes may carry along is not the picture.
    """
    found = _BEGINNING.search(data, 0, _MAX_HEAD)
    if not found or not found.start():
        return data
    try:
        head = data[: found.start()].decode("utf-8-sig")
    except UnicodeDecodeError:
        return data
    return data[found.start() :] if all(c.isprintable() or c.isspace() for c in head) else data


def _what_else(data: bytes) -> str:
    brands = data[8:64] if data[4:8] == b"ftyp" else b""  # of ISO 14496-12: what reader a file is for
    if b"avif" in brands or b"avis" in brands:
        return "the picture is damaged: no whole AVIF" if _reads_avif() else "AVIF: this Pillow cannot read it"
    if b"heic" in brands or b"heix" in brands:
        return "HEIC: a format that is not read here"
    for beginning, name in _NOT_READ.items():
        if data.startswith(beginning):
            return f"{name}: a format that is not read here"
    return f"not a picture: it begins with {data[:16]!r}"
