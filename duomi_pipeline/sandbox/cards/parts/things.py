"""Things on a card: flowers, trees, food, lights.

Holds: what is neither alive on legs, nor built, nor a background. Not here: people, animals, buildings,
machines, places.
"""

import math
import random

from duomi_pipeline.sandbox.cards.palette import RGB, Palette, mix
from duomi_pipeline.sandbox.cards.shapes import Point, points, turned
from duomi_pipeline.sandbox.cards.stage import Stage


def flowers(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Three large blooms on stems."""
    spots = [(0.5, 0.42, 0.2), (0.27, 0.62, 0.14), (0.74, 0.58, 0.155)]
    stem = mix(palette.near, palette.far, 0.3)
    with stage.layer(stem, top=0.3, foot=palette.near) as pen:
        for x, t, _ in spots:
            lean = rng.uniform(-0.06, 0.06)
            pen.taper([(x, t), (x + lean, (t + 1.2) / 2), (0.5 + (x - 0.5) * 0.4, 1.25)], (0.013, 0.02))
            for side in (-1, 1):
                foot = (0.5 + (x - 0.5) * 0.6 + lean, 0.95 + rng.uniform(-0.06, 0.08))
                leaf = [(0, 0), (0.5 * side, -0.28), (1.05 * side, -0.42), (0.6 * side, -0.02)]
                pen.blob([(foot[0] + px * 0.2, foot[1] + py * 0.22) for px, py in leaf])
    for place, spot in enumerate(spots):
        colour = palette.accent if place != 1 else mix(palette.accent, palette.light, 0.55)
        _bloom(stage, palette, rng, spot, colour)


def _bloom(stage: Stage, palette: Palette, rng: random.Random, spot: tuple[float, float, float], colour: RGB) -> None:
    at, size = spot[:2], spot[2]
    count, start = rng.choice((6, 7, 8, 9)), rng.uniform(0, 1)
    slim = rng.uniform(0.26, 0.42)
    petal: list[Point] = [
        (0, 0),
        (slim, -0.45),
        (slim * 0.7, -0.95),
        (0, -1.08),
        (-slim * 0.7, -0.95),
        (-slim, -0.45),
    ]
    for ring, shade in ((1.0, 0.32), (0.74, 0.0), (0.45, -0.4)):
        tone = mix(colour, palette.near, shade) if shade >= 0 else mix(colour, palette.light, -shade)
        with stage.shape(tone, at, size, foot=mix(tone, palette.near, 0.2)) as pen:
            for turn in range(count):
                angle = start + (turn + (0.5 if ring == 0.74 else 0)) * math.tau / count
                pen.blob(turned([(px * ring, py * ring) for px, py in petal], angle))
    with stage.shape(palette.light, at, size, foot=mix(palette.light, palette.accent, 0.5)) as pen:
        pen.ellipse(0, 0, 0.17, 0.17)


def tree(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A lone tree with a wide crown."""
    x, side, scale = rng.uniform(0.4, 0.6), rng.choice((-1, 1)), 0.4
    at = (x, 1.0 - scale * stage.unit / stage.floor)
    bark = mix(palette.near, (0, 0, 0), 0.2)
    tips = points("-62,-20 -30,-55 10,-72 50,-45 70,-10")
    with stage.shape(bark, at, scale) as pen:
        pen.taper([(0, 1.05), (0.1 * side, 0.5), (-0.04 * side, 0.1), (0, -0.3)], (0.24, 0.1))
        for px, py in tips:
            pen.taper([(0, 0.3), (px * 0.45, py * 0.35 + 0.1), (px, py)], (0.1, 0.03))
    for shade, lift, size in ((0.45, 0.1, 0.34), (0.12, 0.0, 0.3), (-0.35, -0.1, 0.19)):
        tone = mix(palette.accent, palette.near, shade) if shade > 0 else mix(palette.accent, palette.light, -shade)
        with stage.shape(tone, at, scale, opacity=0.94) as pen:
            for px, py in tips:
                for _ in range(3):
                    r = size * rng.uniform(0.55, 1.0)
                    pen.ellipse(px + rng.uniform(-0.16, 0.16), py + lift + rng.uniform(-0.12, 0.12), r, r * 0.8)


def lanterns(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Paper lanterns rising into the dark."""
    spots = [(0.5, 0.55, 0.17), (0.22, 0.68, 0.1), (0.8, 0.36, 0.11)]
    spots += [(rng.random(), rng.uniform(0.1, 0.75), rng.uniform(0.025, 0.06)) for _ in range(9)]
    for x, t, scale in spots[::-1]:
        at = (x + rng.uniform(-0.05, 0.05), t)
        stage.glow(*at, scale * 3.2, palette.accent, 0.55)
        warm = mix(palette.accent, palette.light, 0.35)
        with stage.shape(warm, at, scale, foot=mix(palette.light, palette.accent, 0.15)) as pen:
            pen.blob(points("-50,-90 50,-90 78,-40 70,40 42,95 -42,95 -70,40 -78,-40"))
        with stage.shape(mix(palette.accent, palette.near, 0.45), at, scale, opacity=0.5) as pen:
            for px in (-0.3, 0.3):
                pen.line([(px, -0.9), (px * 1.5, 0), (px * 0.8, 0.9)], 0.04)


def bowl(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A steaming bowl on a table."""
    at, scale = (0.5, 0.74), rng.uniform(0.34, 0.38)
    dish = mix(palette.light, palette.low, 0.15)
    for _ in range(3):
        stage.glow(0.5 + rng.uniform(-0.1, 0.1), rng.uniform(0.34, 0.5), rng.uniform(0.12, 0.2), palette.light, 0.35)
    with stage.shape(palette.near, at, scale, opacity=0.4) as pen:
        pen.ellipse(0, 0.72, 0.95, 0.12)
    with stage.shape(dish, at, scale, foot=mix(dish, palette.near, 0.5)) as pen:
        pen.blob(points("-92,-10 0,2 92,-10 78,34 36,66 -36,66 -78,34"))
        pen.rectangle(-0.3, 0.6, 0.3, 0.74)
    with stage.shape(mix(palette.near, palette.accent, 0.4), at, scale) as pen:
        pen.ellipse(0, -0.1, 0.9, 0.2)
    for colour in (
        palette.accent,
        mix(palette.accent, palette.light, 0.6),
        mix(palette.far, palette.light, 0.3),
    ):
        with stage.shape(colour, at, scale) as pen:
            for _ in range(4):
                pen.ellipse(rng.uniform(-0.6, 0.6), -0.13 + rng.uniform(-0.06, 0.05), rng.uniform(0.09, 0.19), 0.09)
    with stage.shape(palette.accent, at, scale) as pen:
        pen.line([(-0.8, 0.2), (0, 0.34), (0.8, 0.2)], 0.03)


def cake(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A layered cake with cream and a cherry."""
    at, scale, layers = (0.5, 0.66), 0.4, rng.choice((2, 3))
    cream = mix(palette.light, palette.low, 0.1)
    with stage.shape(mix(palette.light, palette.near, 0.3), at, scale) as pen:
        pen.ellipse(0, 0.82, 1.0, 0.13)
    for place in range(layers):
        width, top = 0.78 - 0.18 * place, 0.5 - 0.36 * place
        sponge = mix(palette.accent, palette.light, 0.25 * place)
        with stage.shape(sponge, at, scale, foot=mix(sponge, palette.near, 0.35)) as pen:
            pen.rectangle(-width, top, width, top + 0.3)
            pen.ellipse(0, top + 0.3, width, 0.1)
        with stage.shape(cream, at, scale) as pen:
            pen.ellipse(0, top, width, 0.11)
            for drip in range(7):
                x = (drip - 3) / 3.3 * width
                pen.taper([(x, top), (x, top + 0.05), (x, top + 0.1 + rng.uniform(0, 0.1))], (0.17, 0.11))
                pen.ellipse(x, top + 0.14, 0.06, 0.06)
    with stage.shape(palette.accent, at, scale) as pen:
        pen.ellipse(0, 0.5 - 0.36 * (layers - 1) - 0.15, 0.12, 0.12)


def gem(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A floating crystal."""
    at, scale = (0.5, 0.5), 0.36
    stage.glow(0.5, 0.5, 0.75, palette.light, 0.6)
    wide, shoulder = rng.uniform(0.45, 0.65), rng.uniform(-0.5, -0.3)
    crown: list[Point] = [
        (-wide, shoulder),
        (-wide * 0.3, shoulder + 0.12),
        (wide * 0.35, shoulder + 0.12),
        (wide, shoulder),
    ]
    tones = (mix(palette.accent, palette.light, 0.5), palette.accent, mix(palette.accent, palette.near, 0.4))
    for place, tone in enumerate(tones):
        left, right = crown[place], crown[place + 1]
        with stage.shape(tone, at, scale, foot=mix(tone, palette.near, 0.35)) as pen:
            pen.polygon([left, right, (0, 1.0)])
        with stage.shape(mix(tone, palette.light, 0.35), at, scale) as pen:
            pen.polygon([left, right, (0, -1.0)])
