"""How a picture looks, in two small values: enough to tell blank pictures and the same picture twice.

Taken from the one decoding that checks a picture; what follows from them is in `maintenance.quality`.
"""

from dataclasses import dataclass

from PIL import Image, ImageStat

HASH_SIDE = 16  # a hash of 16 x 16 comparisons: 256 bits


@dataclass(frozen=True)
class Look:
    """What a picture looks like.

    Attributes:
        perceptual_hash: difference hash, 64 hexadecimal digits; pictures that look the same differ in few bits.
        contrast: standard deviation of the brightness, 0 (one flat tone) to 0.5.
    """

    perceptual_hash: str
    contrast: float


def look_of(small: Image.Image) -> Look:
    """The look of a decoded picture, or of a small version of it.

    The hash is the "dHash" that image libraries agree on: brightness of each cell of a 17 x 16 grid compared with
    its right neighbour. Written here because the usual package brings SciPy and PyWavelets along for ten lines.
    """
    grey = small.convert("L")
    grid = grey.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX).tobytes()
    bits = 0
    for row in range(HASH_SIDE):
        start = row * (HASH_SIDE + 1)
        for left in range(start, start + HASH_SIDE):
            bits = bits << 1 | (grid[left] < grid[left + 1])
    contrast = ImageStat.Stat(grey).stddev[0] / 255
    return Look(f"{bits:0{HASH_SIDE * HASH_SIDE // 4}x}", round(contrast, 4))


def bits_apart(one: str, other: str) -> int:
    """In how many of their bits two perceptual hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()
