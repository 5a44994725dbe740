"""Lines and outlines, and the pen that draws them.

Holds: soft curves, turned outlines, filled shapes on a mask. Not here: colours and gradients (`stage`).
"""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

Point = tuple[float, float]


def points(hundredths: str) -> list[Point]:
    """An outline from "x,y x,y …" in hundredths: long lists of numbers stay readable."""
    pairs = (pair.split(",") for pair in hundredths.split())
    return [(int(x) / 100, int(y) / 100) for x, y in pairs]


def smooth(points: Sequence[Point], *, closed: bool = False, steps: int = 8) -> list[Point]:
    """A soft line through `points` (a Catmull-Rom spline)."""
    count = len(points)
    line: list[Point] = []
    for start in range(count if closed else count - 1):
        if closed:
            a, b, c, d = (points[(start + offset) % count] for offset in (-1, 0, 1, 2))
        else:
            a, b, c, d = (points[min(max(start + offset, 0), count - 1)] for offset in (-1, 0, 1, 2))
        line += [
            (_spline(a[0], b[0], c[0], d[0], t), _spline(a[1], b[1], c[1], d[1], t))
            for t in (step / steps for step in range(steps))
        ]
    return line if closed else [*line, points[-1]]


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - 3 * c + d - a) * t * t * t)


def turned(points: Sequence[Point], angle: float, centre: Point = (0.0, 0.0)) -> list[Point]:
    """The points turned clockwise by `angle` radians and moved to `centre`."""
    cos, sin = math.cos(angle), math.sin(angle)
    return [(centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos) for x, y in points]


class Pen:
    """Draws on the mask of one shape, at twice the resolution of the stage."""

    def __init__(self, mask: Image.Image, origin: Point, scale: Point) -> None:
        self._draw = ImageDraw.Draw(mask)
        self._origin = origin
        self._scale = scale

    def _at(self, point: Point) -> Point:
        return (
            2 * (point[0] * self._scale[0] + self._origin[0]),
            2 * (point[1] * self._scale[1] + self._origin[1]),
        )

    def polygon(self, points: Sequence[Point], *, cut: bool = False) -> None:
        """Fills a polygon, or cuts it out of what is drawn."""
        self._draw.polygon([self._at(point) for point in points], fill=0 if cut else 255)

    def blob(self, points: Sequence[Point], *, cut: bool = False) -> None:
        """Fills the soft closed outline through `points`."""
        self.polygon(smooth(points, closed=True), cut=cut)

    def ellipse(self, x: float, y: float, rx: float, ry: float, *, cut: bool = False) -> None:
        """Fills an ellipse around (x, y)."""
        self._draw.ellipse([self._at((x - rx, y - ry)), self._at((x + rx, y + ry))], fill=0 if cut else 255)

    def dot(self, x: float, y: float, radius: float) -> None:
        """Fills a circle whose radius is in pixels of the stage, whatever the scale."""
        px, py = self._at((x, y))
        self._draw.ellipse([px - 2 * radius, py - 2 * radius, px + 2 * radius, py + 2 * radius], fill=255)

    def rectangle(self, left: float, top: float, right: float, bottom: float, *, cut: bool = False) -> None:
        """Fills a rectangle."""
        corners = [self._at((left, top)), self._at((right, bottom))]
        if corners[0][0] <= corners[1][0] and corners[0][1] <= corners[1][1]:
            self._draw.rectangle(corners, fill=0 if cut else 255)

    def line(self, points: Sequence[Point], width: float) -> None:
        """Draws a line of `width` (in units of the pen's scale)."""
        pixels = max(1, round(2 * width * self._scale[0]))
        self._draw.line([self._at(point) for point in points], fill=255, width=pixels, joint="curve")

    def taper(self, points: Sequence[Point], widths: tuple[float, float]) -> None:
        """Draws a soft line whose width runs from the first of `widths` to the second."""
        line = smooth(points)
        left: list[Point] = []
        right: list[Point] = []
        for place, (x, y) in enumerate(line):
            before, after = line[max(place - 1, 0)], line[min(place + 1, len(line) - 1)]
            dx, dy = after[0] - before[0], after[1] - before[1]
            length = math.sqrt(dx * dx + dy * dy) or 1.0
            half = (widths[0] + (widths[1] - widths[0]) * place / len(line)) / 2
            left.append((x - dy / length * half, y + dx / length * half))
            right.append((x + dy / length * half, y - dx / length * half))
        self.polygon(left + right[::-1])
