"""Choose the size to request from a model, so that the delivery size can be cut from the picture. Pure arithmetic.

Cutting and resampling are in `images.png`.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from duomi_pipeline.settings import Size


@dataclass(frozen=True)
class SizeRule:
    """The sizes that a model accepts.

    Attributes:
        sizes: the only sizes; empty: all within the limits below.
        side_multiple: both sides must be divisible by it.
        min_pixels, max_pixels: limits of width times height.
        max_side: limit of the longer side, in pixels.
        max_ratio: limit of the longer side divided by the shorter one.
    """

    sizes: tuple[Size, ...] = ()
    side_multiple: int = 1
    min_pixels: int = 0
    max_pixels: int = 100_000_000
    max_side: int = 8192
    max_ratio: float = 128.0

    def takes(self, size: Size) -> bool:
        """Whether the model accepts a size."""
        if self.sizes:
            return size in self.sizes
        return (
            not (size.width % self.side_multiple or size.height % self.side_multiple)
            and self.min_pixels <= size.width * size.height <= self.max_pixels
            and max(size) <= self.max_side
            and max(size) <= min(size) * self.max_ratio
        )

    @lru_cache(maxsize=1024)  # noqa: B019 - rules are few and live as long as the process
    def nearest(self, delivery: Size) -> Size | None:
        """The size to request; `None` if the model accepts no size near the delivery size.

        The delivery size if it is accepted; else the smallest larger one of exactly its shape, or the largest smaller
        one; else one of nearly its shape. From a list of sizes: the shape that loses least, then by the same order.
        """
        if self.takes(delivery):
            return delivery
        if self.sizes:
            return min(self.sizes, key=lambda size: (round(_loss(size, delivery), 6), *_order(size, delivery)))
        return self._same_shape(delivery) or self._near(delivery)

    def _same_shape(self, delivery: Size) -> Size | None:
        common = math.gcd(*delivery)
        shape = Size(delivery.width // common, delivery.height // common)
        factor = math.lcm(*(self.side_multiple // math.gcd(self.side_multiple, side) for side in shape))
        unit = Size(shape.width * factor, shape.height * factor)
        sizes = (Size(unit.width * k, unit.height * k) for k in range(1, self.max_side // max(unit) + 1))
        return min(filter(self.takes, sizes), key=lambda size: _order(size, delivery), default=None)

    def _near(self, delivery: Size) -> Size | None:
        """The accepted size nearest to the delivery size scaled into the limits; smaller if the limits require it."""
        shortest = math.ceil(max(delivery) / self.max_ratio)
        wanted = Size(max(delivery.width, shortest), max(delivery.height, shortest))
        pixels = wanted.width * wanted.height
        scale = math.sqrt(min(max(pixels, self.min_pixels), self.max_pixels) / pixels)
        scale = min(scale, self.max_side / max(wanted))
        width, height = wanted.width * scale, wanted.height * scale
        step = self.side_multiple
        left, top = int(width // step), int(height // step)
        around = itertools.product(range(left - 1, left + 3), range(top - 1, top + 3))
        legal = [size for x, y in around if min(x, y) > 0 and self.takes(size := Size(x * step, y * step))]
        below = [size for size in legal if size.width <= width and size.height <= height]
        above = [size for size in legal if size.width >= width and size.height >= height]
        if above and not (scale < 1 and below):
            return min(above, key=_pixels)
        return max(below or legal, key=_pixels, default=None)


def nearest_ratio(ratios: Sequence[str], delivery: Size) -> tuple[str, Size]:
    """The ratio (such as `9:16`) that loses least, and its smallest size that covers the delivery size."""
    shapes = {ratio: Size(*map(int, ratio.split(":"))) for ratio in ratios}
    ratio = min(ratios, key=lambda name: _loss(shapes[name], delivery))
    shape = shapes[ratio]
    factor = max(-(-delivery.width // shape.width), -(-delivery.height // shape.height))
    return ratio, Size(shape.width * factor, shape.height * factor)


def _loss(size: Size, delivery: Size) -> float:
    """The share of a picture that is cut away to get the shape of the delivery size."""
    ratio = (size.width * delivery.height) / (size.height * delivery.width)
    return 1 - min(ratio, 1 / ratio)


def _order(size: Size, delivery: Size) -> tuple[bool, int]:
    """Sort key: sizes that cover the delivery size, small ones first; then the others, large ones first."""
    covers = size.width >= delivery.width and size.height >= delivery.height
    return not covers, _pixels(size) if covers else -_pixels(size)


def _pixels(size: Size) -> int:
    return size.width * size.height
