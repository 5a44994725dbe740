"""What is above the ground on a card: sky, stars, sun or moon, clouds, and what falls through the air.

Holds: sky and weather. Not here: land and cities, subjects.
"""

import math
import random

from duomi_pipeline.sandbox.cards.palette import Palette, luminance, mix
from duomi_pipeline.sandbox.cards.shapes import smooth, turned
from duomi_pipeline.sandbox.cards.stage import Stage


def paint_sky(stage: Stage, palette: Palette, rng: random.Random, *, orb: bool = True) -> None:
    """The gradient of the sky with its lights; `orb` puts a sun or moon into it."""
    stage.wash([(0.0, palette.top), (0.52, palette.mid), (0.9, palette.low), (1.5, palette.low)])
    stage.glow(rng.uniform(0.1, 0.9), rng.uniform(0.0, 0.4), 1.1, mix(palette.mid, palette.accent, 0.5), 0.35)
    if palette.dark:
        paint_stars(stage, palette, rng, 90)
    if orb:
        _paint_orb(stage, palette, rng)
    lit = mix(palette.low, palette.light, 0.35)
    top = rng.uniform(0.0, 0.25)
    stage.mist(rng, lit, (top, top + rng.uniform(0.5, 0.7)), (rng.randint(3, 5), rng.randint(8, 12)), 0.34)


def paint_stars(stage: Stage, palette: Palette, rng: random.Random, count: int) -> None:
    """Stars, most of them faint."""
    for share, radius, strength in ((0.7, 0.0, 0.45), (0.25, 0.9, 0.7), (0.05, 1.5, 1.0)):
        spots = [
            (rng.random(), rng.random() ** 1.3 * 0.85, radius * stage.unit / 620) for _ in range(round(count * share))
        ]
        stage.specks(spots, mix(palette.mid, palette.light, strength))


def _paint_orb(stage: Stage, palette: Palette, rng: random.Random) -> None:
    x, t = rng.choice((0.3, 0.5, 0.5, 0.68)) + rng.uniform(-0.06, 0.06), rng.uniform(0.26, 0.52)
    size = rng.uniform(0.13, 0.24)
    crescent = palette.dark and rng.random() < 0.3
    stage.glow(x, t, size * 4.2, palette.light, 0.5)
    stage.glow(x, t, size * 2.0, palette.light, 0.45)
    foot = mix(palette.light, palette.low, 0.0 if crescent else 0.45)
    with stage.shape(palette.light, (x, t), size, foot=foot, reach=1.1) as pen:
        pen.ellipse(0, 0, 1, 1)
        if crescent:
            pen.ellipse(0.42, -0.18, 0.92, 0.92, cut=True)


def rain(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Slanting streaks of rain."""
    slant = rng.choice((-1, 1)) * rng.uniform(0.02, 0.05)
    for opacity, width in ((0.22, 0.0018), (0.4, 0.0026)):
        with stage.layer(mix(palette.light, palette.low, 0.4), opacity=opacity) as pen:
            for _ in range(70):
                x, t, length = rng.uniform(-0.05, 1.05), rng.uniform(-0.1, 1.1), rng.uniform(0.05, 0.12)
                pen.line([(x, t), (x + slant, t + length)], width)


def snow(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Flakes, the close ones large and soft."""
    for count, low, high, opacity in ((90, 1.0, 2.0, 0.7), (34, 2.2, 3.8, 0.85), (9, 5.0, 8.0, 0.3)):
        with stage.layer((255, 255, 255), opacity=opacity) as pen:
            for _ in range(count):
                pen.dot(rng.random(), rng.uniform(0, 1.15), rng.uniform(low, high) * stage.unit / 800)


def petals(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Petals or leaves in the wind."""
    for colour in (palette.accent, mix(palette.accent, palette.light, 0.5)):
        with stage.layer(colour, opacity=0.9) as pen:
            aspect = stage.width / stage.floor
            for _ in range(16):
                x, t, size = rng.random(), rng.uniform(0.02, 1.05), rng.uniform(0.008, 0.019)
                leaf = turned([(-1, 0), (0, -0.42), (1, 0), (0, 0.42)], rng.uniform(0, math.tau))
                pen.blob([(x + size * px, t + size * py * aspect) for px, py in leaf])


def sparks(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Fireflies, dust in the light or embers."""
    for _ in range(22):
        x, t, size = rng.random(), rng.uniform(0.3, 1.05), rng.uniform(0.01, 0.034)
        stage.glow(x, t, size, palette.light, 0.95)


def birds(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A flock, far away."""
    x, t = rng.uniform(0.15, 0.6), rng.uniform(0.14, 0.34)
    colour = palette.near if luminance(palette.mid) > 70 else mix(palette.light, palette.mid, 0.3)
    with stage.shape(colour, (x, t), 0.3, reach=1.6) as pen:
        for _ in range(rng.randint(4, 7)):
            bx, by, size = rng.uniform(-0.6, 1.0), rng.uniform(-0.5, 0.5), rng.uniform(0.06, 0.13)
            for side in (-1, 1):
                tip = (bx + side * size, by - size * rng.uniform(0.25, 0.5))
                pen.taper([(bx, by), (bx + side * size * 0.45, by - size * 0.5), tip], (size * 0.24, size * 0.04))


def haze(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A bank of fog over the ground."""
    stage.mist(rng, mix(palette.low, palette.light, 0.5), (0.6, 1.15), (3, 6), 0.6)


def beams(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Rays of light from above."""
    x = rng.uniform(0.2, 0.8)
    with stage.layer(palette.light, opacity=0.13) as pen:
        for _ in range(5):
            foot, width = rng.uniform(-0.4, 1.4), rng.uniform(0.06, 0.2)
            pen.polygon([(x - 0.02, -0.1), (x + 0.02, -0.1), (foot + width, 1.2), (foot, 1.2)])


def ribbons(stage: Stage, palette: Palette, rng: random.Random, count: int = 6, opacity: float = 0.8) -> None:
    """Wide flowing bands, from far to near."""
    tilt = rng.uniform(-0.25, 0.25)
    for place in range(count):
        share = (place + 0.5) / count
        colour = (
            mix(palette.low, palette.accent, share * 1.6) if share < 0.5 else mix(palette.accent, palette.near, share)
        )
        height = 0.22 + 0.85 * share
        crest = [(x / 5, height + tilt * (x / 5 - 0.5) + rng.uniform(-0.11, 0.11)) for x in range(6)]
        with stage.layer(colour, top=height - 0.4, foot=mix(colour, palette.near, 0.75), opacity=opacity) as pen:
            pen.polygon([*smooth(crest, steps=14), (1.0, 3.0), (0.0, 3.0)])
