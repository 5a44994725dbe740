"""The surface that a scene is painted on.

Holds: gradients, glows, mist and anti-aliased shapes, in coordinates that do not depend on the size.
Not here: what is painted (places, subjects, weather), outlines (`shapes`) and text.
"""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from PIL import Image, ImageDraw

from duomi_pipeline.sandbox.cards.palette import RGB, mix
from duomi_pipeline.sandbox.cards.shapes import Pen, Point

# Pillow's gradient is 0 in the middle, 181 where its circle meets the edges, 255 in the corners.
_RADIAL = Image.radial_gradient("L").point([max(0, 255 - round(value * 255 / 180)) for value in range(256)])


def gradient(mode: str, column: bytes, size: tuple[int, int]) -> Image.Image:
    """A vertical gradient through the pixels of `column`, from top to bottom."""
    narrow = Image.frombytes(mode, (1, len(column) // len(mode)), column)
    # Widening without interpolation gives the same picture in a tenth of the time.
    return narrow.resize((1, size[1]), Image.Resampling.BILINEAR).resize(size, Image.Resampling.NEAREST)


class Stage:
    """A picture being painted.

    Places are given as (x, t): x from 0 (left) to 1 (right), t from 0 (top) to 1 (the floor, where the
    caption begins) and beyond. `unit` is the length, in pixels, that subjects are measured in.
    """

    def __init__(self, size: tuple[int, int], floor: float) -> None:
        self.width, self.height = size
        self.floor = max(floor * self.height, 1.0)
        self.unit = min(self.width, self.floor * 0.9)
        self.image = Image.new("RGB", size)

    def spot(self, x: float, t: float) -> Point:
        """The pixel of a place."""
        return x * self.width, t * self.floor

    def wash(self, stops: Sequence[tuple[float, RGB]]) -> None:
        """Fills everything with a gradient through `stops` (t, colour)."""
        rows = bytearray()
        for row in range(96):
            t = row / 95 * self.height / self.floor
            below = next((place for place, stop in enumerate(stops) if stop[0] >= t), len(stops) - 1)
            first, second = stops[max(below - 1, 0)], stops[below]
            share = (t - first[0]) / (second[0] - first[0]) if second[0] > first[0] else 0.0
            rows += bytes(mix(first[1], second[1], min(max(share, 0.0), 1.0)))
        self.image = gradient("RGB", bytes(rows), self.image.size)

    def glow(self, x: float, t: float, radius: float, colour: RGB, strength: float) -> None:
        """A round light that fades to nothing at `radius` (units)."""
        reach = max(radius * self.unit, 1.0)
        (px, py), scale = self.spot(x, t), _RADIAL.width / (2 * reach)
        box = self._clipped(-reach, -reach, reach, reach, (px, py))
        if box[2] <= box[0] or box[3] <= box[1]:
            return
        # Only the part that shows is scaled: a wide glow would cost more than the rest of the scene.
        seen = [(edge - centre + reach) * scale for edge, centre in zip(box, (px, py, px, py), strict=True)]
        part = (max(seen[0], 0.0), max(seen[1], 0.0), min(seen[2], 256.0), min(seen[3], 256.0))
        mask = _RADIAL.point([round(strength * 255 * (value / 255) ** 2) for value in range(256)])
        mask = mask.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BILINEAR, part)
        self.image.paste(colour, box, mask)

    def mist(
        self,
        rng: random.Random,
        colour: RGB,
        span: tuple[float, float],
        cells: tuple[int, int],
        strength: float,
    ) -> None:
        """Soft clouds of `cells` (columns, rows) between two heights, thinning out above and below."""
        columns, rows = cells
        noise = bytearray(rng.randbytes(columns * rows))
        noise[:columns] = noise[-columns:] = bytes(columns)
        box = (0, round(span[0] * self.floor), self.width, round(span[1] * self.floor))
        if box[3] - box[1] < 2:
            return
        cloud = Image.frombytes("L", (columns, rows), bytes(noise))
        # Through a medium size: the threshold has to bend soft values, and costs little there.
        cloud = cloud.resize((columns * 12, rows * 12), Image.Resampling.BICUBIC)
        cloud = cloud.point([round(min(max((value - 90) / 140, 0.0), 1.0) * strength * 255) for value in range(256)])
        mask = cloud.resize((box[2], box[3] - box[1]), Image.Resampling.BILINEAR)
        self.image.paste(colour, box, mask)

    def specks(self, spots: Sequence[tuple[float, float, float]], colour: RGB) -> None:
        """Small dots (x, t, radius in pixels): too small to need smooth edges."""
        draw = ImageDraw.Draw(self.image)
        for x, t, radius in spots:
            px, py = self.spot(x, t)
            draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=colour)

    @contextmanager
    def shape(
        self,
        colour: RGB,
        at: Point,
        scale: float,
        *,
        foot: RGB | None = None,
        reach: float = 1.3,
        opacity: float = 1.0,
    ) -> Iterator[Pen]:
        """A pen for one subject: (0, 0) is the place `at`, lengths are in `scale` units.

        Args:
            colour: The fill, at the top if `foot` is given.
            foot: The fill at the bottom.
            reach: How far the shape may extend from `at`, in its own lengths.
            opacity: 0 to 1.
        """
        centre, length = self.spot(*at), scale * self.unit
        extent = reach * length
        box = self._clipped(-extent, -extent, extent, extent, centre)
        with self._masked(box, colour, foot, opacity) as mask:
            yield Pen(mask, (centre[0] - box[0], centre[1] - box[1]), (length, length))

    @contextmanager
    def layer(self, colour: RGB, *, top: float = 0.0, foot: RGB | None = None, opacity: float = 1.0) -> Iterator[Pen]:
        """A pen for a shape across the whole picture below `top`, in places (x, t)."""
        box = self._clipped(0, top * self.floor, self.width, self.height, (0.0, 0.0))
        with self._masked(box, colour, foot, opacity) as mask:
            yield Pen(mask, (-box[0], -box[1]), (self.width, self.floor))

    def _clipped(
        self, left: float, top: float, right: float, bottom: float, origin: Point
    ) -> tuple[int, int, int, int]:
        x, y = origin
        return (
            min(max(math.floor(x + left), 0), self.width),
            min(max(math.floor(y + top), 0), self.height),
            min(max(math.ceil(x + right), 0), self.width),
            min(max(math.ceil(y + bottom), 0), self.height),
        )

    @contextmanager
    def _masked(
        self, box: tuple[int, int, int, int], colour: RGB, foot: RGB | None, opacity: float
    ) -> Iterator[Image.Image]:
        width, height = box[2] - box[0], box[3] - box[1]
        mask = Image.new("L", (max(2 * width, 2), max(2 * height, 2)))
        yield mask
        drawn = mask.getbbox()
        if drawn is None or width < 1 or height < 1:
            return
        # Most shapes fill a small part of their box: the rest is not worth scaling and pasting.
        left, top, right, bottom = drawn[0] // 2, drawn[1] // 2, (drawn[2] + 1) // 2, (drawn[3] + 1) // 2
        mask = mask.reduce(2, (2 * left, 2 * top, 2 * right, 2 * bottom))
        box = (box[0] + left, box[1] + top, box[0] + right, box[1] + bottom)
        if opacity < 1:
            mask = mask.point([round(value * opacity) for value in range(256)])
        if foot is None:
            self.image.paste(colour, box, mask)
        else:
            column = b"".join(bytes(mix(colour, foot, row / 31)) for row in range(32))
            self.image.paste(gradient("RGB", column, mask.size), box, mask)
