"""Bytes of any kind to a checked, whole PNG of the delivery size. A PNG of that size keeps its bytes."""

import io
from collections import deque
from dataclasses import dataclass
from typing import Self

from PIL import Image, ImageOps, UnidentifiedImageError

from duomi_pipeline.images.chunks import SIGNATURE, BrokenPngError, png_size, walk
from duomi_pipeline.settings import Size

MAX_PIXELS = 80_000_000
THUMBNAIL_SIDES = (144, 128, 112, 96, 64)  # the longer side, in pixels
MAX_THUMBNAIL_BYTES = 700  # as base64 in Markdown below 1,000 characters: what the UI shows in the page itself
_THUMBNAIL_QUALITY = 25
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
        thumbnail: a small WebP of it, made from the one decoding that checked it; `None` if not decoded.
    """

    data: bytes
    size: Size
    received_size: Size
    thumbnail: bytes | None = None

    @classmethod
    def stored(cls, data: bytes, size: str, received_size: str) -> Self:
        """A picture that was stored and checked before."""
        return cls(data, Size.parse(size), Size.parse(received_size))


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
        _check_not_flat(picture)
        if kind == "PNG" and received == delivery:
            return Png(data, delivery, received, _thumbnail(picture))
        fitted, file = _fitted(picture, delivery), io.BytesIO()
        fitted.save(file, "PNG", compress_level=_COMPRESSION)
        return Png(file.getvalue(), delivery, received, _thumbnail(fitted))
    except NotAPictureError:
        raise
    except Exception as error:  # what outside bytes can do to a decoder has no end
        raise NotAPictureError(f"the picture is damaged: {error}") from error


def thumbnail_of(png: bytes) -> bytes:
    """A small WebP of a stored picture.

    Raises:
        NotAPictureError: it is damaged.
    """
    return _thumbnail(_decoded(png)[0])


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
    upright = ImageOps.exif_transpose(picture)
    plain = upright if upright.mode in ("RGB", "RGBA", "L") else upright.convert("RGB")
    return plain if Size(*plain.size) == delivery else ImageOps.fit(plain, delivery, Image.Resampling.LANCZOS)


def _check_pixels(size: Size) -> None:
    """Refuse before a pixel is decoded what would fill the memory."""
    if size.width * size.height > MAX_PIXELS:
        raise NotAPictureError(f"the picture is too large: {size}")


def _thumbnail(picture: Image.Image) -> bytes:
    """The largest of a few small WebPs that stays below the size which Dagster's UI shows without a click."""
    small = picture if picture.mode in ("RGB", "RGBA", "L") else picture.convert("RGB")
    largest, *others = THUMBNAIL_SIDES
    small = small.copy() if max(small.size) <= largest else small.reduce(max(1, max(small.size) // (2 * largest)))
    for side in (largest, *others):
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        small.convert("RGB").save(file, "WEBP", quality=_THUMBNAIL_QUALITY, method=6)
        if file.tell() <= MAX_THUMBNAIL_BYTES:
            break
    return file.getvalue()


def _check_not_flat(picture: Image.Image) -> None:
    extrema = picture.getextrema()
    bands = [extrema] if isinstance(extrema[0], int | float) else list(extrema)
    if all(band[0] == band[1] for band in bands):
        raise NotAPictureError("the picture is of one flat colour")
