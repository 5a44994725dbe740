"""Animals on a card, as silhouettes with a few coloured parts.

Holds: land animals, birds, fish, butterflies, dragons. Not here: people, things, backgrounds.
"""

import math
import random
from itertools import pairwise

from duomi_pipeline.sandbox.cards.palette import Palette, mix
from duomi_pipeline.sandbox.cards.shapes import Pen, Point, points, turned
from duomi_pipeline.sandbox.cards.stage import Stage

# Left and right ear; the right one is a little different, which makes the animal look alive.
_EARS = {
    "cat": (points("-34,-50 -30,-100 -2,-70"), points("34,-50 31,-98 2,-70")),
    "fox": (points("-38,-50 -36,-112 -2,-70"), points("38,-50 37,-109 2,-70")),
    "dog": (points("-24,-80 -50,-66 -50,-20 -30,-40"), points("24,-80 50,-66 51,-24 30,-40")),
    "rabbit": (points("-6,-70 -12,-130 -28,-130 -28,-65"), points("6,-70 16,-130 32,-125 28,-65")),
    "bear": (points("-36,-78 -28,-92 -16,-86 -20,-66"), points("36,-78 28,-92 16,-86 20,-66")),
}


def _sitting(stage: Stage, palette: Palette, rng: random.Random, kind: str) -> None:
    scale, x = rng.uniform(0.25, 0.31), rng.uniform(0.42, 0.58)
    at = (x, 1.01 - scale * stage.unit / stage.floor)
    side = rng.choice((-1, 1))
    fur = mix(palette.near, palette.accent, rng.choice((0.0, 0.35, 0.6)))
    foot = mix(fur, palette.near, 0.5)
    with stage.shape(fur, at, scale, foot=foot, reach=1.5) as pen:
        widths = (0.34, 0.1) if kind == "fox" else (0.15, 0.09)
        if kind in {"cat", "fox", "dog"}:
            pen.taper(
                [
                    (side * 0.3, 0.86),
                    (side * 0.78, 0.86),
                    (side * 0.98, 0.5),
                    (side * 0.86, 0.16),
                    (side * 0.98, -0.04),
                ],
                widths,
            )
        pen.blob(points("0,-42 26,-20 42,40 50,80 36,100 -36,100 -50,80 -42,40 -26,-20"))
        pen.ellipse(0, -0.5, 0.4, 0.35)
        for ear in _EARS[kind]:
            (pen.polygon if kind in {"cat", "fox"} else pen.blob)(ear)
    _face(stage, palette, at, scale, kind)


def _face(stage: Stage, palette: Palette, at: Point, scale: float, kind: str) -> None:
    with stage.shape(mix(palette.light, palette.accent, 0.15), at, scale) as pen:
        for x in (-0.16, 0.16):
            pen.ellipse(x, -0.52, 0.075, 0.085)
        if kind in {"fox", "dog"}:
            pen.blob(points("0,-42 16,-30 10,-20 -10,-20 -16,-30"))
    with stage.shape(mix(palette.near, (0, 0, 0), 0.4), at, scale) as pen:
        for x in (-0.16, 0.16):
            pen.ellipse(x, -0.52, 0.03 if kind == "cat" else 0.045, 0.075 if kind == "cat" else 0.05)
        if kind in {"fox", "dog"}:
            pen.ellipse(0, -0.33, 0.05, 0.035)
    with stage.shape(palette.accent, at, scale, opacity=0.95) as pen:
        pen.blob(points("-30,-20 0,-12 30,-20 27,-10 0,-2 -27,-10"))


def cat(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A sitting cat."""
    _sitting(stage, palette, rng, "cat")


def fox(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A sitting fox or wolf."""
    _sitting(stage, palette, rng, "fox")


def dog(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A sitting dog."""
    _sitting(stage, palette, rng, "dog")


def rabbit(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A sitting rabbit."""
    _sitting(stage, palette, rng, "rabbit")


def bear(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A sitting bear or panda."""
    _sitting(stage, palette, rng, "bear")


def deer(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A standing deer with antlers, or a horse without."""
    side, scale = rng.choice((-1, 1)), rng.uniform(0.28, 0.33)
    at = (rng.uniform(0.44, 0.56), 1.0 - scale * stage.unit / stage.floor)
    coat = mix(palette.near, palette.accent, 0.12)

    def facing(points: list[Point]) -> list[Point]:
        return [(side * x, y) for x, y in points]

    with stage.shape(coat, at, scale, foot=palette.near, reach=1.5) as pen:
        pen.blob(facing(points("-55,0 -10,4 25,-6 40,-50 56,-56 56,-20 48,20 30,36 -20,30 -55,38 -64,20")))
        pen.blob(facing(points("38,-62 56,-72 72,-56 92,-42 88,-34 66,-36 46,-38")))
        for hip, hoof in ((-0.52, -0.56), (-0.4, -0.36), (0.26, 0.24), (0.38, 0.42)):
            pen.taper(facing([(hip, 0.22), (hip - 0.03, 0.6), (hoof, 1.01)]), (0.18, 0.06))
        pen.taper(facing([(0.46, -0.66), (0.36, -0.82), (0.3, -0.8)]), (0.1, 0.02))
        for base, lean in ((0.5, -0.22), (0.58, 0.2)):
            tip = (base + lean, -1.28)
            pen.taper(
                facing([(base, -0.66), (base + lean * 0.3, -0.9), (base + lean * 1.2, -1.06), tip]),
                (0.06, 0.025),
            )
            for height in (-0.9, -1.06):
                pen.taper(
                    facing(
                        [
                            (base + lean * 0.6, height),
                            (base + lean * 0.6 + 0.12, height - 0.06),
                            (base + lean * 0.6 + 0.17, height - 0.18),
                        ]
                    ),
                    (0.045, 0.02),
                )


def bird(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A large bird in flight, wings raised."""
    side, tilt = rng.choice((-1, 1)), rng.uniform(-0.25, 0.15)
    body = mix(palette.light, palette.low, 0.15) if palette.dark else mix(palette.near, palette.accent, 0.15)
    at, scale = (0.5, rng.uniform(0.5, 0.6)), rng.uniform(0.34, 0.4)

    def posed(points: list[Point]) -> list[Point]:
        return [(side * x, y) for x, y in turned(points, tilt)]

    with stage.shape(mix(body, palette.far, 0.5), at, scale) as pen:
        pen.blob(posed(points("10,-2 28,-50 62,-86 42,-36 30,2")))
    with stage.shape(body, at, scale, foot=mix(body, palette.accent, 0.3)) as pen:
        pen.blob(posed(points("76,-12 60,-20 30,-12 -20,0 -90,26 -30,20 30,14 60,-2")))
        pen.blob(posed(points("28,-4 10,-48 -30,-86 -84,-100 -56,-66 -36,-36 -14,2 8,10")))
    with stage.shape(palette.accent, at, scale) as pen:
        pen.polygon(posed([(0.72, -0.16), (0.94, -0.1), (0.72, -0.06)]))
        pen.taper(posed([(-0.55, 0.16), (-0.85, 0.3), (-1.15, 0.36)]), (0.1, 0.02))


def fish(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Two koi circling each other, or a whale with its calf."""
    turn = rng.uniform(0, math.tau)
    for place, colour in enumerate((palette.accent, mix(palette.light, palette.low, 0.2))):
        angle = turn + math.pi * place
        bend = [(math.cos(angle + step * 0.42), 0.8 * math.sin(angle + step * 0.42)) for step in range(5)]
        with stage.shape(colour, (0.5, 0.52), 0.26, reach=1.9) as pen:
            _koi(pen, bend)
        with stage.shape(mix(colour, palette.near, 0.75), (0.5, 0.52), 0.26, opacity=0.7) as pen:
            for step in (1, 2):
                pen.ellipse(bend[step][0], bend[step][1], 0.13 / step, 0.09 / step)


def _koi(pen: Pen, bend: list[Point]) -> None:
    pen.taper(bend, (0.46, 0.1))
    pen.ellipse(*bend[0], 0.23, 0.23)
    tail, before = bend[-1], bend[-2]
    way = math.atan2(tail[1] - before[1], tail[0] - before[0])
    pen.blob(turned(points("-10,0 20,-12 52,-30 36,0 50,28 20,12"), way, tail))
    first = math.atan2(bend[1][1] - bend[0][1], bend[1][0] - bend[0][0])
    for side in (-1, 1):
        pen.blob(turned([(0, 0.1 * side), (0.1, 0.42 * side), (0.34, 0.5 * side), (0.26, 0.1 * side)], first, bend[0]))


def butterfly(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A butterfly with patterned wings."""
    at, scale, tilt = (0.5, 0.5), rng.uniform(0.34, 0.4), rng.uniform(-0.35, 0.35)
    upper = points("4,-10 30,-66 86,-86 96,-40 60,0")
    lower = points("4,2 50,6 76,40 50,86 20,50")
    stage.glow(0.5, 0.5, 0.6, palette.light, 0.5)
    sizes = (
        (1.0, palette.near),
        (0.9, palette.accent),
        (0.62, mix(palette.accent, palette.light, 0.6)),
        (0.3, palette.near),
    )
    for size, colour in sizes:
        with stage.shape(colour, at, scale) as pen:
            for wing in (upper, lower):
                x, y = sum(point[0] for point in wing) / 5, sum(point[1] for point in wing) / 5
                scaled = [(x + (px - x) * size, y + (py - y) * size) for px, py in wing]
                pen.blob(turned(scaled, tilt))
                pen.blob(turned([(-px, py) for px, py in scaled], tilt))
    with stage.shape(palette.near, at, scale) as pen:
        pen.taper(turned([(0, -0.3), (0, 0.1), (0, 0.6)], tilt), (0.13, 0.04))
        for side in (-1, 1):
            pen.taper(turned([(0, -0.28), (side * 0.14, -0.62), (side * 0.3, -0.78)], tilt), (0.025, 0.02))


def dragon(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """An eastern dragon winding through the sky."""
    side, scale, at = rng.choice((-1, 1)), 0.46, (0.5, 0.5)
    scales = mix(palette.accent, palette.near, 0.2)
    spine = points("30,-66 2,-80 -36,-56 -30,-20 20,-4 60,18 50,56 0,60 -50,66 -86,90")
    body: list[Point] = [(side * x, y) for x, y in spine]
    with stage.shape(mix(palette.light, palette.accent, 0.3), at, scale) as pen:
        for first, second in pairwise(body):
            dx, dy = (second[1] - first[1]) * 0.34, (first[0] - second[0]) * 0.34
            pen.polygon([first, (first[0] + dx * side, first[1] + dy * side), second])
    with stage.shape(scales, at, scale, foot=mix(scales, palette.near, 0.45)) as pen:
        pen.taper(body, (0.27, 0.03))
        pen.blob([(side * x, y) for x, y in points("20,-80 50,-84 84,-66 86,-54 50,-52 24,-50")])
        for lean in (-0.1, 0.06):
            pen.taper(
                [(side * 0.34, -0.8), (side * (0.2 + lean), -1.0), (side * (0.02 + lean), -1.14)],
                (0.08, 0.02),
            )
        for start in (3, 6):
            x, y = body[start]
            pen.taper([(x, y), (x + side * 0.16, y + 0.2), (x + side * 0.32, y + 0.2)], (0.13, 0.03))
        pen.taper([(side * 0.8, -0.58), (side * 1.0, -0.44), (side * 1.04, -0.2)], (0.04, 0.01))
    with stage.shape(palette.light, at, scale) as pen:
        pen.ellipse(side * 0.54, -0.7, 0.045, 0.04)
