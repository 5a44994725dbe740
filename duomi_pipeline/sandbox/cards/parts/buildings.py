"""Buildings on a card.

Holds: cottage, castle, pagoda, lighthouse. Not here: whole cities and rooms, which are places.
"""

import random

from duomi_pipeline.sandbox.cards.palette import Palette, mix
from duomi_pipeline.sandbox.cards.shapes import points
from duomi_pipeline.sandbox.cards.stage import Stage


def house(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A cottage with lit windows and smoke."""
    x, side, scale = rng.uniform(0.4, 0.6), rng.choice((-1, 1)), rng.uniform(0.24, 0.28)
    at = (x, 1.0 - scale * stage.unit / stage.floor)
    for puff in range(4):
        drift = side * (0.4 + 0.06 * puff * puff) * scale * stage.unit / stage.width
        stage.glow(
            x + drift,
            at[1] - (0.75 + 0.26 * puff) * scale * stage.unit / stage.floor,
            0.06 + 0.025 * puff,
            palette.light,
            0.45,
        )
    wall, roof = mix(palette.near, palette.accent, 0.18), mix(palette.near, palette.accent, 0.55)
    with stage.shape(wall, at, scale, foot=palette.near) as pen:
        pen.rectangle(-0.6, 0.1, 0.6, 1.05)
    with stage.shape(roof, at, scale, foot=mix(roof, palette.near, 0.4)) as pen:
        pen.rectangle(side * 0.4 - 0.08, -0.7, side * 0.4 + 0.08, 0.0)
        pen.polygon([(-0.8, 0.16), (0, -0.72), (0.8, 0.16)])
    stage.glow(x, at[1] + 0.5 * scale * stage.unit / stage.floor, 0.3, palette.light, 0.5)
    with stage.shape(palette.light, at, scale) as pen:
        for px in (-0.34, 0.34):
            pen.rectangle(px - 0.12, 0.34, px + 0.12, 0.62)
        pen.rectangle(-0.1, 0.62, 0.1, 1.05)
        pen.ellipse(0, 0.62, 0.1, 0.1)
        pen.ellipse(0, -0.14, 0.1, 0.1)
    with stage.shape(wall, at, scale) as pen:
        for px in (-0.34, 0.34):
            pen.rectangle(px - 0.012, 0.34, px + 0.012, 0.62)
            pen.rectangle(px - 0.12, 0.47, px + 0.12, 0.49)


def castle(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A castle with pointed towers."""
    at, scale = (rng.uniform(0.42, 0.58), 0.66), 0.44
    stone = mix(palette.far, palette.near, 0.6)
    towers = [
        (-0.52, 0.17, -0.1),
        (-0.22, 0.2, -0.5),
        (0.12, 0.24, -0.78),
        (0.46, 0.18, -0.3),
        (0.66, 0.13, 0.05),
    ]
    with stage.shape(stone, at, scale, foot=palette.near) as pen:
        pen.rectangle(-0.62, 0.3, 0.74, 1.2)
        for x, width, top in towers:
            pen.rectangle(x - width / 2, top, x + width / 2, 1.2)
        pen.blob(points("-120,130 -70,72 0,60 70,70 125,130"))
    with stage.shape(mix(palette.accent, stone, 0.25), at, scale, foot=mix(palette.accent, stone, 0.6)) as pen:
        for x, width, top in towers:
            pen.polygon([(x - width * 0.72, top + 0.02), (x, top - width * 1.7), (x + width * 0.72, top + 0.02)])
    with stage.shape(palette.light, at, scale, opacity=0.9) as pen:
        for x, _, top in towers:
            for row in range(3):
                if rng.random() < 0.75:
                    pen.ellipse(x, top + 0.14 + 0.2 * row, 0.025, 0.045)


def pagoda(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A pagoda with curved roofs."""
    scale, floors = 0.4, rng.choice((4, 5))
    at = (rng.uniform(0.38, 0.62), 1.02 - scale * stage.unit / stage.floor)
    wall, roof = mix(palette.near, palette.accent, 0.3), mix(palette.near, (0, 0, 0), 0.15)
    rows = [(1.0 - 1.7 * row / floors, 0.62 - 0.32 * row / floors) for row in range(floors)]
    with stage.shape(wall, at, scale, foot=palette.near) as pen:
        for y, width in rows:
            pen.rectangle(-width * 0.62, y - 1.7 / floors, width * 0.62, y + 0.1)
    with stage.shape(palette.light, at, scale, opacity=0.85) as pen:
        for y, width in rows:
            for share in (-0.36, 0, 0.36):
                pen.rectangle(width * share - 0.035, y - 0.17, width * share + 0.035, y - 0.05)
    with stage.shape(roof, at, scale) as pen:
        for foot, width in rows:
            y = foot - 1.7 / floors + 0.1
            pen.blob(
                [
                    (0, y - 0.2),
                    (width * 0.5, y - 0.1),
                    (width * 1.2, y - 0.06),
                    (width * 0.6, y + 0.04),
                    (-width * 0.6, y + 0.04),
                    (-width * 1.2, y - 0.06),
                    (-width * 0.5, y - 0.1),
                ]
            )
        pen.taper([(0, rows[-1][0] - 0.3), (0, rows[-1][0] - 0.5), (0, rows[-1][0] - 0.72)], (0.06, 0.01))


def lighthouse(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A striped lighthouse on its rock, the lamp lit."""
    x, side, scale = rng.uniform(0.4, 0.6), rng.choice((-1, 1)), 0.42
    at = (x, 1.0 - scale * stage.unit / stage.floor)
    wall, rock = mix(palette.light, palette.low, 0.12), mix(palette.near, (0, 0, 0), 0.15)
    with stage.shape(palette.light, at, scale, reach=3.0, opacity=0.22) as pen:
        pen.polygon([(0, -0.82), (side * 3, -1.3), (side * 3, -0.5)])
    with stage.shape(wall, at, scale, foot=mix(wall, palette.near, 0.4)) as pen:
        pen.polygon([(-0.15, -0.68), (0.15, -0.68), (0.26, 0.9), (-0.26, 0.9)])
    with stage.shape(palette.accent, at, scale, foot=mix(palette.accent, palette.near, 0.4)) as pen:
        for top in (-0.45, 0.0, 0.45):
            upper, lower = 0.165 + 0.07 * (top + 0.5), 0.165 + 0.07 * (top + 0.72)
            pen.polygon([(-upper, top), (upper, top), (lower, top + 0.22), (-lower, top + 0.22)])
        pen.polygon([(-0.17, -0.94), (0, -1.14), (0.17, -0.94)])
    with stage.shape(rock, at, scale) as pen:
        pen.rectangle(-0.2, -0.72, 0.2, -0.67)
        pen.blob(points("-110,112 -62,84 -20,76 24,78 60,88 112,112"))
    with stage.shape(palette.light, at, scale) as pen:
        pen.rectangle(-0.11, -0.93, 0.11, -0.72)
    stage.glow(x, at[1] - 0.82 * scale * stage.unit / stage.floor, 0.22, palette.light, 0.9)
