"""Limits on memory and time for one picture, checked before they are used: by size, JPEG scans and number of parts.

With them a download of up to 64 MB takes less than 800 MB and 30 s of one core, whatever it contains. Figures were
measured with Pillow 13; texts of a PNG are limited in `salvage`.
"""

import io

from PIL import JpegImagePlugin

from duomi_pipeline.images.errors import NotAPictureError
from duomi_pipeline.settings import Size

MAX_PIXELS = 8192 * 8192  # the largest delivery that the settings allow; the largest answers seen are 4096x4096
MAX_MEMORY = 620_000_000  # bytes for pixels, besides those of the answer itself and some 100 MB of the process
MAX_READS = 1_000_000  # of Pillow's parsers, in parts of some bytes to 64 kB; a picture needs some thousands
MAX_SCANNED = 6_000_000_000  # pixels times scans of a JPEG, about 4 s; encoders write some 10 scans
_STORED = 4  # bytes per pixel in Pillow, in all modes of several bands
# Bytes per pixel while it is decoded and checked, measured; an AVIF may have 12 bits per colour, which cost more.
_DECODING = {"PNG": 8, "BMP": 8, "GIF": 8, "JPEG": 8, "MPO": 8, "WEBP": 16, "AVIF": 20}
_COEFFICIENT = 2  # bytes that libjpeg keeps of each pixel and colour until the last of several scans
_START_OF_SCAN = b"\xff\xda"


class BoundedFile(io.BytesIO):
    """A file in memory for Pillow's parsers: those written in Python would walk through millions of tiny parts."""

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file.

        Raises:
            NotAPictureError: after very many reads.
        """
        self._reads += 1
        if self._reads > MAX_READS:
            raise NotAPictureError(f"the picture has too many parts: more than {MAX_READS:,}")
        return super().read(size)


def check_pixels(kind: str, size: Size) -> None:
    """Refuse a picture that would need too much memory to decode.

    Args:
        kind: the format, as Pillow calls it.
        size: as the file's header says, in pixels.
    """
    most = min(MAX_PIXELS, MAX_MEMORY // _DECODING[kind])
    if size.width * size.height > most:
        raise NotAPictureError(f"the picture is too large: {size}; of {kind} at most {most:,} pixels are decoded")


def check_scans(picture: JpegImagePlugin.JpegImageFile, jpeg: bytes) -> None:
    """Refuse a JPEG, opened but not decoded, whose scans would take minutes or fill the memory.

    Their marker cannot stand in the coded pixels, where every 0xFF is followed by zero.
    """
    scans, pixels = jpeg.count(_START_OF_SCAN), picture.width * picture.height
    if scans * pixels > MAX_SCANNED:
        raise NotAPictureError(f"the picture has too many scans: {scans:,} of {Size(*picture.size)}")
    samples = [across * down for _, across, down, _ in picture.layer]
    kept = pixels * _COEFFICIENT * sum(samples) // max(samples) if scans > 1 else 0
    if kept + pixels * _STORED > MAX_MEMORY:
        raise NotAPictureError(f"the picture is too large: {Size(*picture.size)} in {scans:,} scans")


def check_fitting(size: Size, delivery: Size, copies: int) -> None:
    """Refuse a picture that would need too much memory to resize to the delivery size.

    Args:
        size: of the decoded picture.
        delivery: what it becomes.
        copies: how many copies of it are made meanwhile.
    """
    pixels = size.width * size.height * (1 + copies) + delivery.width * delivery.height
    if _STORED * pixels > MAX_MEMORY:
        raise NotAPictureError(f"the picture is too large to be resized from {size} to {delivery}")
