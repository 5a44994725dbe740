"""Bytes of any kind to a checked, whole PNG of the delivery size. A PNG of that size keeps its bytes.

What has to be encoded anew keeps its texts, among them the XMP packet in which a service may have labelled it as
generated, and its look: colours of another profile become sRGB, which is what viewers take a PNG for.
"""

import contextlib
import io
from collections import deque
from dataclasses import dataclass
from typing import Self

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from duomi_pipeline.images.chunks import SIGNATURE, BrokenPngError, png_size, walk, with_texts
from duomi_pipeline.images.disclosure import XMP_KEY
from duomi_pipeline.images.look import Look, look_of
from duomi_pipeline.images.metadata import read_texts
from duomi_pipeline.settings import Size

MAX_PIXELS = 80_000_000
THUMBNAIL_SIDES = (144, 128, 112, 96, 64)  # the longer side, in pixels
MAX_THUMBNAIL_BYTES = 700  # as base64 in Markdown below 1,000 characters: what the UI shows in the page itself
_THUMBNAIL_QUALITY = 25
_THUMBNAIL_EFFORT = 4  # of 6: the last two levels cost twice the time for a few bytes
_COMPRESSION = 6
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # no others are opened: the bytes come from outside


class NotAPictureError(ValueError):
    """The bytes are no whole, usable picture; the text says why."""


@dataclass(frozen=True)
class Png:
    """A whole PNG.

    Attributes:
        data: the file's bytes.
        size: its size in pixels.
        received_size: the size in which the service sent it.
        look: what it looks like; `None` where that was never looked at.
        thumbnail: a small WebP of it; like `look` made from the one decoding that checked it; `None` if not decoded.
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
    """Check a picture by decoding it once, and bring it to PNG and to the delivery size where it is not.

    A picture of another shape is cut to the delivery's shape from its centre, never stretched.

    Raises:
        NotAPictureError: empty, not an image, cut off, damaged, too large, or of one flat colour.
    """
    if not data:
        raise NotAPictureError("the picture is empty")
    picture, kind = _decoded(data)
    received = Size(*picture.size)
    try:
        small = _small(picture)
        _check_not_flat(picture, small)
        if kind == "PNG" and received == delivery:
            return Png(data, delivery, received, look_of(small), _thumbnail(small))
        fitted, file = _fitted(picture, delivery), io.BytesIO()
        fitted.save(file, "PNG", compress_level=_COMPRESSION, icc_profile=None)
        small, texts = _small(fitted), _texts(picture, data)
        anew = with_texts(file.getvalue(), texts, plain=texts.keys() - {XMP_KEY})
        return Png(anew, delivery, received, look_of(small), _thumbnail(small))
    except NotAPictureError:
        raise
    except Exception as error:  # what outside bytes can do to a decoder has no end
        raise NotAPictureError(f"the picture is damaged: {error}") from error


def thumbnail_of(png: bytes) -> bytes:
    """A small WebP of a stored picture.

    Raises:
        NotAPictureError: it is damaged.
    """
    return _thumbnail(_small(_decoded(png)[0]))


def stored_look(png: bytes) -> Look:
    """The look of a stored picture.

    Raises:
        NotAPictureError: it is damaged.
    """
    return look_of(_small(_decoded(png)[0]))


def check_whole(png: bytes) -> None:
    """Check a stored PNG by its checksums, without decoding it.

    Raises:
        NotAPictureError: it is cut off or damaged.
    """
    try:
        deque(walk(png), maxlen=0)
    except BrokenPngError as error:
        raise NotAPictureError(str(error)) from error


def _decoded(data: bytes) -> tuple[Image.Image, str]:
    if data.startswith(SIGNATURE):
        check_whole(data)
        _check_pixels(png_size(data))
    try:
        picture = Image.open(io.BytesIO(data), formats=_FORMATS)
        _check_pixels(Size(*picture.size))
        picture.load()
    except UnidentifiedImageError as error:
        raise NotAPictureError(f"not a picture: it begins with {data[:16]!r}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise NotAPictureError(f"the picture is too large: {error}") from error
    except NotAPictureError:
        raise
    except Exception as error:  # what outside bytes can do to a decoder has no end
        raise NotAPictureError(f"the picture is damaged: {error}") from error
    return picture, picture.format or "unknown"


def _fitted(picture: Image.Image, delivery: Size) -> Image.Image:
    plain = _in_plain_colours(ImageOps.exif_transpose(picture))
    return plain if Size(*plain.size) == delivery else ImageOps.fit(plain, delivery, Image.Resampling.LANCZOS)


def _in_plain_colours(picture: Image.Image) -> Image.Image:
    plain = picture if picture.mode in ("RGB", "RGBA", "L", "CMYK") else picture.convert("RGB")
    if profile := picture.info.get("icc_profile"):
        kind = "RGBA" if plain.mode == "RGBA" else "RGB"
        with contextlib.suppress(ImageCms.PyCMSError, OSError):  # of a broken profile nothing is known
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode=kind) or plain
    return plain.convert("RGB") if plain.mode == "CMYK" else plain


def _texts(picture: Image.Image, data: bytes) -> dict[str, str]:
    """What a file says about itself: all texts of a PNG, the XMP packet of any other."""
    if data.startswith(SIGNATURE):
        return dict(read_texts(data))
    xmp = picture.info.get("xmp")
    with contextlib.suppress(UnicodeDecodeError):
        return {XMP_KEY: xmp.decode("utf-8").rstrip("\0")} if isinstance(xmp, bytes) else {}
    return {}


def _check_pixels(size: Size) -> None:
    """Refuse before a pixel is decoded what would fill the memory."""
    if size.width * size.height > MAX_PIXELS:
        raise NotAPictureError(f"the picture is too large: {size}")


def _small(picture: Image.Image) -> Image.Image:
    """About twice the size of a thumbnail, in plain colours: what is looked at instead of millions of pixels."""
    plain = picture if picture.mode in ("RGB", "RGBA", "L") else picture.convert("RGB")
    return plain.reduce(max(1, max(picture.size) // (2 * THUMBNAIL_SIDES[0])))


def _thumbnail(small: Image.Image) -> bytes:
    """The largest of a few small WebPs that stays below the size which Dagster's UI shows without a click."""
    for side in THUMBNAIL_SIDES:
        small = small.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        small.convert("RGB").save(file, "WEBP", quality=_THUMBNAIL_QUALITY, method=_THUMBNAIL_EFFORT)
        if file.tell() <= MAX_THUMBNAIL_BYTES:
            break
    return file.getvalue()


def _check_not_flat(picture: Image.Image, small: Image.Image) -> None:
    if _is_flat(small) and _is_flat(picture):  # the small one is looked at in no time, and mostly says no
        raise NotAPictureError("the picture is of one flat colour")


def _is_flat(picture: Image.Image) -> bool:
    extrema = picture.getextrema()
    bands = [extrema] if isinstance(extrema[0], int | float) else list(extrema)
    return all(band[0] == band[1] for band in bands)
