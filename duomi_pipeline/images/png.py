"""From received bytes to a checked, whole PNG of the delivery size. A PNG of that size keeps its bytes.

A picture that must be encoded again keeps its texts, such as the XMP packet in which a service may have labelled it
as generated, and its look: colours of another profile become sRGB, which viewers expect of a PNG.
"""

import contextlib
import io
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from duomi_pipeline.images.decoding import Decoded, decode
from duomi_pipeline.images.errors import NotAPictureError
from duomi_pipeline.images.fingerprint import Look, look_of
from duomi_pipeline.images.fitting import fit
from duomi_pipeline.images.metadata import read_texts
from duomi_pipeline.images.png_chunks import BrokenPngError, text_chunk, walk
from duomi_pipeline.images.tones import in_plain_colours
from duomi_pipeline.images.xmp import XMP_KEY
from duomi_pipeline.settings import Size

THUMBNAIL_SIDES = (144, 128, 112, 96, 64)  # the longer side, in pixels
MAX_THUMBNAIL_BYTES = 700  # as base64 in Markdown below 1,000 characters: the most that the UI shows in the page itself
_THUMBNAIL_QUALITY = 25
_THUMBNAIL_EFFORT = 2  # of 6: each level above costs more time than it saves bytes
_THUMBNAIL_FILTER = Image.Resampling.HAMMING  # softer than Lanczos: more pixels in as many bytes, in less time
_COMPRESSION = 6


@dataclass(frozen=True)
class Png:
    """A whole PNG.

    Attributes:
        data: the file's bytes.
        size: its size in pixels.
        received_size: the size in which the service sent it.
        look: its fingerprint; `None` if never computed.
        thumbnail: a small WebP of it; `None` if not made. Like `look` it is made when the picture is checked.
    """

    data: bytes
    size: Size
    received_size: Size
    look: Look | None = None
    thumbnail: bytes | None = None

    @classmethod
    def stored(cls, data: bytes, size: str, received_size: str, look: Look | None) -> Self:
        """A picture that was stored and checked before."""
        return cls(data, Size.parse(size), Size.parse(received_size), look)


def to_png(data: bytes, delivery: Size) -> Png:
    """Check a picture by decoding it once, and convert it to a PNG of the delivery size if necessary.

    A picture of another shape is cropped from its centre, never stretched. A PNG of the delivery size keeps its bytes,
    except damaged chunks that no pixel needs: see `salvage`.

    Raises:
        NotAPictureError: empty, not an image, cut off, damaged, too large, of too many parts, or of one flat colour.
    """
    if not data:
        raise NotAPictureError("the picture is empty")
    decoded = decode(data)
    received = Size(*decoded.picture.size)
    try:
        small = _small(decoded.picture)
        _check_not_flat(decoded.picture, small)
        if decoded.kind == "PNG" and received == delivery:
            return Png(decoded.data, delivery, received, look_of(small), _thumbnail(small))
        texts, fitted = _texts(decoded), fit(decoded.picture, delivery)
        del decoded, data  # memory for two of the largest pictures, not for three
        small = _small(fitted)
        return Png(_encoded(fitted, texts), delivery, received, look_of(small), _thumbnail(small))
    except NotAPictureError:
        raise
    except Exception as error:  # untrusted bytes can raise anything in a decoder
        raise NotAPictureError(f"the picture is damaged: {error}") from error


def thumbnail_of(png: bytes) -> bytes:
    """A small WebP of a stored picture.

    Raises:
        NotAPictureError: it is damaged.
    """
    return _thumbnail(_small(decode(png).picture))


def stored_look(png: bytes) -> Look:
    """The fingerprint of a stored picture.

    Raises:
        NotAPictureError: it is damaged.
    """
    return look_of(_small(decode(png).picture))


def check_whole(png: bytes) -> None:
    """Check a stored PNG by its checksums, without decoding it.

    Raises:
        NotAPictureError: it is cut off or damaged.
    """
    try:
        deque(walk(png), maxlen=0)
    except BrokenPngError as error:
        raise NotAPictureError(str(error)) from error


def _encoded(picture: Image.Image, texts: Mapping[str, str]) -> bytes:
    """A picture as a PNG file with these texts right behind its header."""
    info, file = PngInfo(), io.BytesIO()
    for key, text in texts.items():
        info.add(*text_chunk(key, text, plain=key != XMP_KEY))
    picture.save(file, "PNG", compress_level=_COMPRESSION, icc_profile=None, pnginfo=info)
    return file.getvalue()


def _texts(decoded: Decoded) -> dict[str, str]:
    """The texts in a file: all of a PNG, the XMP packet of any other format."""
    if decoded.kind == "PNG":
        return dict(read_texts(decoded.data))
    xmp = decoded.picture.info.get("xmp")
    with contextlib.suppress(UnicodeDecodeError):
        return {XMP_KEY: xmp.decode("utf-8").rstrip("\0")} if isinstance(xmp, bytes) else {}
    return {}


def _small(picture: Image.Image) -> Image.Image:
    """About twice the size of a thumbnail, in plain colours: checks use it instead of millions of pixels."""
    plain = in_plain_colours(picture)
    return plain.reduce(max(1, max(picture.size) // (2 * THUMBNAIL_SIDES[0])))


def _thumbnail(small: Image.Image) -> bytes:
    """The largest of a few small WebPs that stays below the size which Dagster's UI shows without a click."""
    for side in THUMBNAIL_SIDES:
        small = small.copy()
        small.thumbnail((side, side), _THUMBNAIL_FILTER)
        file = io.BytesIO()
        small.convert("RGB").save(file, "WEBP", quality=_THUMBNAIL_QUALITY, method=_THUMBNAIL_EFFORT)
        if file.tell() <= MAX_THUMBNAIL_BYTES:
            break
    return file.getvalue()


def _check_not_flat(picture: Image.Image, small: Image.Image) -> None:
    if _is_flat(small) and _is_flat(picture):  # the small one is checked first: it is fast, and mostly not flat
        raise NotAPictureError("the picture is of one flat colour")


def _is_flat(picture: Image.Image) -> bool:
    extrema = picture.getextrema()
    bands = [extrema] if isinstance(extrema[0], int | float) else list(extrema)
    return all(band[0] == band[1] for band in bands)
