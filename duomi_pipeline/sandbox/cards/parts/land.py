"""Open country on a card: mountains, hills, desert, sea, forest, and the lines they are made of.

Holds: one function per landscape; each paints the whole background, from the sky to the floor. Not here:
what people built, subjects, weather.
"""

import random
from itertools import pairwise

from duomi_pipeline.sandbox.cards.palette import RGB, Palette, mix
from duomi_pipeline.sandbox.cards.parts.sky import beams, paint_sky
from duomi_pipeline.sandbox.cards.shapes import Pen, Point, smooth
from duomi_pipeline.sandbox.cards.stage import Stage

# Closes a line across the picture to everything below it.
BELOW: list[Point] = [(1.0, 4.0), (0.0, 4.0)]


def ridge(rng: random.Random, height: float, rise: float, rounds: int = 6) -> list[Point]:
    """A jagged line by halving (midpoint displacement)."""
    line = [height + rng.uniform(-rise, rise) / 2 for _ in range(3)]
    for _ in range(rounds):
        halved = [(a + b) / 2 + rng.uniform(-rise, rise) / 2 for a, b in pairwise(line)]
        line = [value for pair in zip(line, halved, strict=False) for value in pair] + [line[-1]]
        rise *= 0.52
    return [(place / (len(line) - 1), value) for place, value in enumerate(line)]


def swell(rng: random.Random, height: float, rise: float, knots: int = 4) -> list[Point]:
    """A soft rolling line."""
    return smooth([(x / knots, height + rng.uniform(-rise, rise)) for x in range(knots + 1)], steps=16)


def depth(palette: Palette, share: float) -> RGB:
    """The colour of a layer: `share` 0 is farthest, 1 is closest."""
    if share < 0.5:
        return mix(mix(palette.low, palette.far, 0.65), palette.far, share * 2)
    return mix(palette.far, palette.near, share * 2 - 1)


def ground(stage: Stage, palette: Palette, rng: random.Random, height: float = 0.97, rise: float = 0.025) -> None:
    """The closest rise, on which subjects stand."""
    with stage.layer(mix(palette.near, palette.far, 0.16), top=0.75, foot=palette.near) as pen:
        pen.polygon([*swell(rng, height, rise), *BELOW])


def mountains(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Ridges behind ridges, mist between them."""
    paint_sky(stage, palette, rng)
    count = rng.randint(3, 4)
    for place in range(count):
        share = place / count
        colour = depth(palette, share)
        height = 0.5 + 0.4 * share + rng.uniform(-0.03, 0.03)
        with stage.layer(colour, top=height - 0.4, foot=mix(colour, palette.low, 0.35 * (1 - share))) as pen:
            pen.polygon([*ridge(rng, height, 0.3 - 0.16 * share), *BELOW])
        if place < 2:
            stage.mist(rng, mix(palette.low, palette.light, 0.3), (height - 0.05, height + 0.32), (3, 6), 0.5)
    ground(stage, palette, rng)


def hills(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Rolling hills with a few round trees."""
    paint_sky(stage, palette, rng)
    for place in range(4):
        share = 0.1 + place / 5
        colour = depth(palette, share)
        height = 0.62 + 0.09 * place
        line = swell(rng, height, 0.05, rng.randint(3, 5))
        with stage.layer(colour, top=height - 0.25, foot=mix(colour, palette.near, 0.3)) as pen:
            pen.polygon([*line, *BELOW])
            for x, t in rng.sample(line, 5 if place in {1, 2} else 0):
                size = rng.uniform(0.015, 0.03)
                pen.ellipse(x, t - size, size, size * 1.4 * stage.width / stage.floor)
    ground(stage, palette, rng)


def meadow(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Hills with flowers in the grass before them."""
    hills(stage, palette, rng)
    aspect = stage.width / stage.floor
    blades = [(rng.random(), rng.uniform(0.86, 1.02)) for _ in range(60)]
    with stage.layer(palette.near, top=0.7) as pen:
        for x, t in blades:
            pen.taper([(x, 1.1), (x + rng.uniform(-0.01, 0.01), (t + 1.1) / 2), (x, t)], (0.009, 0.003))
    for colour, share in ((palette.accent, 0), (mix(palette.accent, palette.light, 0.6), 1)):
        with stage.layer(colour, top=0.7) as pen:
            for x, t in blades[share::2]:
                size = rng.uniform(0.009, 0.018)
                pen.ellipse(x, t, size, size * 0.8 * aspect)


def desert(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Dunes, each with a lit and a shaded side."""
    paint_sky(stage, palette, rng)
    for place in range(4):
        share = place / 4
        height, peak = 0.64 + 0.1 * place, rng.uniform(0.2, 0.8)
        colour = mix(mix(palette.low, palette.mid, 0.5), palette.near, share * 0.55)
        crest = (peak, height - 0.08)
        side = [(0.0, height + rng.uniform(0, 0.06)), (peak / 2, height), crest]
        far = [crest, ((1 + peak) / 2, height + 0.03), (1.0, height + rng.uniform(0, 0.08))]
        with stage.layer(colour, top=height - 0.2, foot=mix(colour, palette.near, 0.3)) as pen:
            pen.polygon([*smooth(side), *smooth(far), *BELOW])
        fold = [crest, (peak + 0.05, height + 0.02), (peak - 0.06, height + 0.12), (peak + 0.1, height + 0.4)]
        with stage.layer(palette.near, top=height - 0.2, opacity=0.3) as pen:
            pen.polygon([*smooth(fold), (1.0, height + 0.5), *smooth(far)[::-1]])


def sea(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Water to the horizon, an island, light on the waves."""
    paint_sky(stage, palette, rng)
    horizon = rng.uniform(0.62, 0.68)
    if rng.random() < 0.7:
        with stage.layer(depth(palette, 0.2), top=0.3, foot=depth(palette, 0.4)) as pen:
            shift, tall = rng.uniform(-0.4, 0.4), rng.uniform(0.6, 1.2)
            line = [
                (x * 0.6 + 0.2 + shift, horizon - max(0.0, (horizon - t) * tall) * (1 - abs(2 * x - 1)))
                for x, t in ridge(rng, horizon - 0.16, 0.16)
            ]
            pen.polygon([*line, (line[-1][0], horizon + 0.02), (line[0][0], horizon + 0.02)])
    with stage.layer(mix(palette.mid, palette.low, 0.4), top=horizon, foot=palette.near) as pen:
        pen.polygon([(0.0, horizon), (1.0, horizon), *BELOW])
    x = rng.uniform(0.3, 0.7)
    with stage.layer(palette.light, top=horizon - 0.05, opacity=0.6) as pen:
        for _ in range(70):
            near = rng.random()
            wide = 0.015 + 0.05 * near * rng.random()
            pen.ellipse(
                x + rng.uniform(-1, 1) * (0.05 + 0.28 * near),
                horizon + 0.012 + near * 0.4,
                wide,
                0.0016 + 0.002 * near,
            )
    for place in range(3):
        colour = mix(mix(palette.mid, palette.near, 0.35), palette.near, 0.2 + 0.3 * place)
        with stage.layer(colour, top=0.75, foot=palette.near, opacity=0.75) as pen:
            pen.polygon([*swell(rng, 0.9 + 0.09 * place, 0.016, 7), *BELOW])


def forest(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Firs in the mist, the close ones dark."""
    paint_sky(stage, palette, rng)
    slim = 0.27 * stage.floor / stage.width
    for place in range(4):
        share = 0.1 + place * 0.3
        colour, foot = depth(palette, share), 0.8 + 0.07 * place
        with stage.layer(colour, top=0.1, foot=mix(colour, palette.low, 0.3 - 0.1 * place)) as pen:
            for _ in range(15 - 2 * place):
                tall = rng.uniform(0.2, 0.36) + 0.07 * place
                wide = tall * slim * rng.uniform(0.8, 1.2)
                _fir(pen, rng.uniform(-0.05, 1.05), foot, tall, wide)
            pen.polygon([*swell(rng, foot, 0.02), *BELOW])
        if place < 2:
            stage.mist(rng, mix(palette.low, palette.light, 0.4), (foot - 0.3, foot + 0.15), (3, 6), 0.5)


def _fir(pen: Pen, x: float, foot: float, tall: float, wide: float) -> None:
    left: list[Point] = [(x, foot - tall)]
    for tier in range(1, 6):
        share, t = tier / 5, foot - tall * (1 - tier / 5)
        left += [(x - wide * share, t), (x - wide * share * 0.55, t - tall * 0.02)]
    pen.polygon([*left, *[(2 * x - px, t) for px, t in left[::-1]]])


def underwater(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Light from the surface, weeds, bubbles."""
    stage.wash([(0.0, palette.low), (0.35, palette.mid), (1.0, palette.top)])
    beams(stage, palette, rng)
    for place in range(3):
        colour = mix(palette.far, palette.near, place / 2)
        with stage.layer(colour, top=0.3, foot=mix(colour, palette.near, 0.5)) as pen:
            pen.polygon([*swell(rng, 0.86 + 0.06 * place, 0.04), *BELOW])
            for _ in range(9):
                x, tall, sway = (
                    rng.random() ** 0.5 if rng.random() < 0.5 else 1 - rng.random() ** 0.5,
                    rng.uniform(0.1, 0.4),
                    rng.uniform(-0.05, 0.05),
                )
                pen.taper([(x, 1.0), (x + sway, 1.0 - tall * 0.5), (x - sway, 1.0 - tall)], (0.03, 0.004))
    with stage.layer(palette.light, opacity=0.45) as pen:
        for _ in range(40):
            pen.dot(rng.random(), rng.random(), rng.uniform(0.8, 4.5) * stage.unit / 800)
