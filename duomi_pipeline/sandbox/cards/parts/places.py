"""Places on a card that are no landscape: city, street, room, space, studio, bands of colour.

Holds: one function per place; each paints the whole background. Not here: landscapes, subjects, weather.
"""

import math
import random
from dataclasses import dataclass

from duomi_pipeline.sandbox.cards.palette import RGB, Palette, mix
from duomi_pipeline.sandbox.cards.parts.land import BELOW, depth, ground
from duomi_pipeline.sandbox.cards.parts.sky import paint_sky, paint_stars, ribbons
from duomi_pipeline.sandbox.cards.shapes import turned
from duomi_pipeline.sandbox.cards.stage import Stage


def _towers(rng: random.Random, height: float, rise: float) -> list[tuple[float, float, float]]:
    towers, x = [], rng.uniform(-0.06, 0.0)
    while x < 1:
        width = rng.uniform(0.06, 0.14)
        towers.append((x, x + width, height - rise * rng.random() ** 1.4))
        x += width + rng.choice((0.0, 0.0, 0.012))
    return towers


def city(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A skyline in three depths, windows lit in the closest."""
    paint_sky(stage, palette, rng)
    for place in range(3):
        share = 0.15 + place * 0.33
        colour = depth(palette, share)
        towers = _towers(rng, 0.72 + 0.1 * place, 0.36 - 0.06 * place)
        with stage.layer(colour, top=0.2, foot=mix(colour, palette.low, 0.45 - 0.2 * place)) as pen:
            for left, right, top in towers:
                pen.rectangle(left, top, right, 4.0)
                if rng.random() < 0.4:
                    middle = (left + right) / 2
                    pen.rectangle(middle - 0.003, top - rng.uniform(0.03, 0.1), middle + 0.003, top)
        if place:
            _windows(stage, mix(palette.light, palette.accent, 0.3 * place), rng, towers)
    ground(stage, palette, rng, 1.0, 0.01)


def _windows(stage: Stage, colour: RGB, rng: random.Random, towers: list[tuple[float, float, float]]) -> None:
    step, wide = 0.021, 0.008
    tall = step * 0.85 * stage.width / stage.floor
    with stage.layer(colour, top=0.2, opacity=0.85) as pen:
        for left, right, top in towers:
            columns = max(int((right - left - 0.016) / step), 1)
            lit = rng.uniform(0.15, 0.6)
            for row in range(int((1.0 - top) / tall / 1.5)):
                for column in range(columns):
                    if rng.random() < lit:
                        x, t = left + 0.012 + column * step, top + 0.02 + row * tall * 1.5
                        pen.rectangle(x, t, x + wide, t + tall * 0.7)


def street(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A street between tall houses, signs glowing, the road wet."""
    paint_sky(stage, palette, rng, orb=False)
    middle = rng.uniform(0.44, 0.56)
    stage.glow(middle, 0.72, 0.9, palette.light, 0.6)
    stage.glow(middle, 0.74, 0.5, palette.accent, 0.7)
    with stage.layer(mix(palette.near, palette.far, 0.4), top=0.7, foot=palette.near) as pen:
        pen.polygon([(0.0, 0.76), (1.0, 0.76), *BELOW])
    for place in range(5):
        share = place / 4
        gap, top = 0.05 + 0.36 * share, 0.42 - 0.5 * share
        colour = mix(mix(palette.far, palette.low, 0.25), palette.near, 0.15 + 0.85 * share)
        for side in (-1, 1):
            edge, roof, foot = middle + side * gap, top + rng.uniform(-0.1, 0.1), 0.76 + 0.16 * share
            outer = 0.0 if side < 0 else 1.0
            with stage.layer(colour, foot=mix(colour, palette.near, 0.5)) as pen:
                pen.polygon([(outer, roof), (edge, roof + 0.02), (edge, foot), (outer, foot + 0.1)])
            _signs(stage, palette, rng, _Wall(edge, side, roof, foot, share))
    stage.glow(middle, 0.95, 0.35, palette.light, 0.4)


@dataclass(frozen=True)
class _Wall:
    """One side of a street: `share` tells how close it is, from 0 to 1."""

    edge: float
    side: int
    roof: float
    foot: float
    share: float


def _signs(stage: Stage, palette: Palette, rng: random.Random, wall: _Wall) -> None:
    """Glowing signs on a wall, mirrored in the road."""
    for _ in range(2):
        colour = rng.choice((palette.accent, palette.light, mix(palette.accent, palette.light, 0.5), palette.low))
        t, tall = rng.uniform(max(wall.roof, 0.1) + 0.03, 0.62), rng.uniform(0.05, 0.14) * (0.5 + wall.share)
        x, wide = wall.edge + wall.side * rng.uniform(0.0, 0.12) * wall.share, 0.012 + 0.03 * wall.share
        stage.glow(x, t + tall / 2, 0.1 + 0.15 * wall.share, colour, 0.5)
        size = wide * stage.width / stage.unit, tall * stage.floor / stage.unit
        with stage.shape(colour, (x, t), 1.0, foot=mix(colour, palette.near, 0.15), reach=0.4) as pen:
            pen.rectangle(-size[0] / 2, 0, size[0] / 2, size[1])
        with stage.shape(colour, (x, wall.foot + 0.03), 1.0, reach=0.5, opacity=0.2) as pen:
            pen.rectangle(-size[0] / 2, 0, size[0] / 2, size[1] * 1.6)


def room(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A wall with a window, light falling in, a table in front."""
    wall = mix(palette.far, palette.near, 0.35)
    stage.wash([(0.0, mix(wall, palette.near, 0.5)), (0.5, wall), (1.0, mix(wall, palette.near, 0.35))])
    x = rng.choice((0.33, 0.67))
    left, right, top, sill = x - 0.2, x + 0.2, rng.uniform(0.1, 0.18), 0.66
    stage.glow(x, 0.4, 0.95, palette.light, 0.4)
    with stage.layer(palette.mid, foot=palette.low) as pen:
        pen.rectangle(left, top, right, sill)
    stage.glow(x + 0.06, 0.4, 0.3, palette.light, 0.9)
    with stage.layer(mix(palette.near, palette.accent, 0.15)) as pen:
        for bar in (left, x, right):
            pen.rectangle(bar - 0.008, top, bar + 0.008, sill)
        for bar in (top, top + (sill - top) * 0.4, sill):
            pen.rectangle(left - 0.02, bar - 0.006, right + 0.02, bar + 0.006)
    with stage.layer(palette.light, top=top, opacity=0.16) as pen:
        shift = 0.35 if x < 0.5 else -0.35
        pen.polygon([(left, top), (right, top), (right + shift * 1.5, 1.2), (left + shift * 1.5, 1.2)])
    _shelf(stage, palette, rng, 0.82 if x < 0.5 else 0.18)
    table = mix(palette.near, palette.accent, 0.22)
    with stage.layer(mix(table, palette.light, 0.2), top=0.9, foot=palette.near) as pen:
        pen.polygon([(0.0, 0.92), (1.0, 0.92), *BELOW])


def _shelf(stage: Stage, palette: Palette, rng: random.Random, x: float) -> None:
    for t in (0.3, 0.48, 0.66):
        left = x - 0.13
        while left < x + 0.1:
            wide, tall = rng.uniform(0.016, 0.034), rng.uniform(0.05, 0.09)
            tone = mix(rng.choice((palette.accent, palette.low, palette.far, palette.mid)), palette.near, 0.35)
            with stage.shape(tone, (left, t), 1.0, foot=mix(tone, palette.near, 0.4), reach=0.2) as pen:
                pen.rectangle(0, -tall, wide * 0.85, 0)
            left += wide * stage.unit / stage.width
        with stage.shape(mix(palette.near, palette.accent, 0.15), (x, t), 1.0, reach=0.2) as pen:
            pen.rectangle(-0.15, 0, 0.15, 0.012)


def space(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A nebula, stars, a planet with its moon."""
    deep = mix(palette.top, (4, 5, 16), 0.72)
    stage.wash([(0.0, deep), (0.6, mix(palette.mid, deep, 0.55)), (1.1, mix(palette.near, deep, 0.5))])
    for colour in (palette.mid, palette.accent, palette.low):
        stage.mist(rng, colour, (-0.1, 1.1), (rng.randint(3, 5), rng.randint(5, 7)), 0.42)
    paint_stars(stage, palette, rng, 190)
    x, t, size = rng.choice((0.2, 0.78, 0.5)), rng.uniform(0.24, 0.4), rng.uniform(0.2, 0.34)
    stage.glow(x, t, size * 1.9, mix(palette.low, palette.light, 0.4), 0.55)
    tilt = rng.uniform(-0.5, 0.5)
    with stage.shape(mix(palette.light, palette.low, 0.35), (x, t), size, foot=palette.far) as pen:
        pen.ellipse(0, 0, 1, 1)
    with stage.shape(deep, (x, t), size, opacity=0.45) as pen:
        pen.ellipse(0, 0, 1, 1)
        pen.ellipse(-0.3, -0.22, 0.98, 0.98, cut=True)
    if rng.random() < 0.65:
        with stage.shape(mix(palette.light, palette.accent, 0.4), (x, t), size, reach=2.2, opacity=0.85) as pen:
            arc = [(1.8 * math.cos(a / 16), 0.42 * math.sin(a / 16)) for a in range(-6, 57)]
            pen.line(turned(arc, tilt), 0.07)
    stage.glow(1 - x, t + 0.3, 0.09, palette.light, 1.0)


def studio(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A quiet backdrop with a great disc, for a subject that names no place."""
    stage.wash([(0.0, palette.top), (0.6, palette.mid), (1.05, mix(palette.mid, palette.near, 0.5))])
    stage.mist(rng, palette.low, (-0.2, 1.1), (3, 5), 0.35)
    t = rng.uniform(0.42, 0.5)
    stage.glow(0.5, t, 0.95, palette.light, 0.35)
    with stage.shape(
        mix(palette.low, palette.light, 0.3), (0.5, t), 0.4, foot=mix(palette.low, palette.accent, 0.55)
    ) as pen:
        pen.ellipse(0, 0, 1, 1)
    with stage.shape(palette.light, (0.5, t), 0.4, opacity=0.5) as pen:
        for radius in (1.12, 1.2)[: rng.randint(0, 2)]:
            pen.line([(radius * math.cos(a / 20), radius * math.sin(a / 20)) for a in range(127)], 0.006)
    ribbons(stage, palette, rng, 2, 0.45)


def abstract(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Flowing bands of colour and a disc."""
    paint_sky(stage, palette, rng)
    ribbons(stage, palette, rng)
