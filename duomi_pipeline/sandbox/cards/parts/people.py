"""People on a card, as flat poster shapes.

Holds: portraits, standing figures, couples. Not here: animals, machines, things, backgrounds.
"""

import random
from dataclasses import dataclass

from duomi_pipeline.sandbox.cards.palette import Palette, mix
from duomi_pipeline.sandbox.cards.shapes import points
from duomi_pipeline.sandbox.cards.stage import Stage

_HAIR = {
    "long": points("0,-66 42,-50 50,0 62,60 50,115 -50,115 -62,60 -50,0 -42,-50"),
    "bob": points("0,-66 44,-48 54,0 50,36 20,42 -20,42 -50,36 -54,0 -44,-48"),
    "short": points("0,-66 34,-54 43,-20 36,10 0,20 -36,10 -43,-20 -34,-54"),
    "wild": points("0,-72 40,-62 72,-20 60,20 92,55 55,90 -50,95 -62,40 -50,0 -50,-50"),
    "hood": points("0,-80 48,-58 64,0 66,50 90,90 -90,90 -66,50 -64,0 -48,-58"),
}
_BLUSH = (206, 82, 84)
_SKIN = ((250, 222, 200), (244, 207, 176), (224, 172, 134), (186, 128, 92), (128, 84, 62))


def portrait(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A bust with closed eyes, hair and an ornament."""
    at, scale = (0.5, 0.5), 0.44
    style = rng.choice(sorted(_HAIR))
    hair, robe = _hair_colour(palette, rng), mix(palette.near, palette.accent, 0.3)
    skin = mix(rng.choice(_SKIN), palette.low, rng.uniform(0.04, 0.16))
    shade = mix(skin, palette.near, 0.3)
    stage.glow(0.5, 0.42, 0.6, palette.light, 0.45)
    with stage.shape(hair, at, scale, foot=mix(hair, palette.near, 0.5)) as pen:
        pen.blob(_HAIR[style])
        if style in {"short", "bob"} and rng.random() < 0.5:
            pen.ellipse(0, -0.74, 0.2, 0.18)
    with stage.shape(shade, at, scale) as pen:
        pen.polygon([(-0.15, 0.2), (0.15, 0.2), (0.2, 0.86), (-0.2, 0.86)])
    with stage.shape(robe, at, scale, foot=palette.near, reach=1.9) as pen:
        pen.blob(points("-20,56 0,70 20,56 62,74 92,105 110,190 -110,190 -92,105 -62,74"))
    with stage.shape(mix(skin, palette.light, 0.15), at, scale, foot=shade, reach=0.7) as pen:
        pen.blob(points("0,-46 26,-36 33,-5 25,26 7,43 -7,43 -25,26 -33,-5 -26,-36"))
    _features(stage, palette, mix(hair, palette.near, 0.5))
    part = rng.choice((-0.16, -0.05, 0.05, 0.16))
    with stage.shape(hair, at, scale, foot=mix(hair, palette.near, 0.25), reach=0.8) as pen:
        for side in (-1, 1):
            pen.blob(
                [
                    (part, -0.58),
                    (side * 0.3, -0.55),
                    (side * 0.42, -0.2),
                    (side * 0.37, 0.12),
                    (side * 0.31, -0.12),
                    (part + side * 0.12, -0.36),
                ]
            )
    _ornament(stage, palette, rng)


def _hair_colour(palette: Palette, rng: random.Random) -> tuple[int, int, int]:
    dark = mix(palette.near, palette.mid, 0.12)
    return rng.choice((dark, dark, mix(palette.accent, palette.near, 0.35), mix(palette.far, palette.near, 0.6)))


def _features(stage: Stage, palette: Palette, line: tuple[int, int, int]) -> None:
    with stage.shape(line, (0.5, 0.5), 0.44, reach=0.5) as pen:
        for side in (-1, 1):
            pen.line(
                [(side * (0.06 + 0.04 * step), 0.02 + (0.035, 0.055, 0.055, 0.03, -0.005)[step]) for step in range(5)],
                0.016,
            )
            pen.taper([(side * 0.06, -0.09), (side * 0.14, -0.125), (side * 0.24, -0.09)], (0.026, 0.008))
    with stage.shape(mix(_BLUSH, line, 0.15), (0.5, 0.5), 0.44, reach=0.5) as pen:
        pen.blob([(-0.085, 0.275), (-0.03, 0.255), (0, 0.265), (0.03, 0.255), (0.085, 0.275), (0, 0.315)])
    for x in (0.43, 0.57):
        shift = (x - 0.5) * stage.unit / stage.width * 1.35
        stage.glow(0.5 + shift, 0.5 + 0.05 * stage.unit / stage.floor, 0.06, _BLUSH, 0.4)


def _ornament(stage: Stage, palette: Palette, rng: random.Random) -> None:
    kind = rng.choice(("earrings", "flowers", "band", "moon"))
    with stage.shape(palette.accent if kind != "moon" else palette.light, (0.5, 0.5), 0.44) as pen:
        if kind == "earrings":
            for x in (-0.35, 0.35):
                pen.ellipse(x, 0.2, 0.035, 0.035)
                pen.blob([(x, 0.24), (x + 0.04, 0.36), (x, 0.42), (x - 0.04, 0.36)])
        elif kind == "flowers":
            for x, y, size in ((0.3, -0.42, 0.13), (0.42, -0.24, 0.1), (0.16, -0.56, 0.09)):
                for px, py in ((0, -1), (0.95, -0.3), (0.6, 0.8), (-0.6, 0.8), (-0.95, -0.3)):
                    pen.ellipse(x + px * size * 0.62, y + py * size * 0.62, size * 0.55, size * 0.55)
        elif kind == "band":
            pen.line(points("-38,-30 -20,-40 0,-43 20,-40 38,-30"), 0.045)
            pen.ellipse(0, -0.42, 0.065, 0.085)
        else:
            pen.ellipse(0, -0.5, 0.13, 0.13)
            pen.ellipse(0, -0.56, 0.12, 0.12, cut=True)
    if kind == "flowers":
        with stage.shape(palette.light, (0.5, 0.5), 0.44) as pen:
            for x, y in ((0.3, -0.42), (0.42, -0.24), (0.16, -0.56)):
                pen.ellipse(x, y, 0.035, 0.035)


@dataclass(frozen=True)
class _Figure:
    """Somebody who stands on the floor at `x`, `scale` units tall to each side of the belt."""

    x: float
    scale: float
    carry: str = ""


def _stand(stage: Stage, palette: Palette, rng: random.Random, figure: _Figure) -> None:
    """Paints one figure, seen from behind."""
    x, scale, carry = figure.x, figure.scale, figure.carry
    dark = mix(palette.near, (0, 0, 0), 0.25)
    coat = mix(palette.accent, palette.near, rng.choice((0.1, 0.3, 0.85)))
    at = (x, 1.0 - scale * stage.unit / stage.floor)
    wind = rng.uniform(-0.18, 0.18)
    with stage.shape(dark, at, scale) as pen:
        for side in (-0.09, 0.09):
            pen.polygon([(side - 0.07, 0.4), (side + 0.07, 0.4), (side + 0.05, 1.02), (side - 0.05, 1.02)])
        if carry == "sword":
            pen.line([(0.44, -0.1), (0.62, 0.86)], 0.045)
            pen.line([(0.36, 0.06), (0.54, 0.02)], 0.04)
        if carry == "staff":
            pen.line([(0.46, -0.9), (0.4, 1.0)], 0.04)
    with stage.shape(coat, at, scale, foot=mix(coat, palette.near, 0.6)) as pen:
        pen.blob(
            [
                (0, -0.62),
                (0.2, -0.54),
                (0.27, -0.1),
                (0.36 + wind, 0.62),
                (0.1 + wind, 0.7),
                (-0.34 + wind, 0.64),
                (-0.27, -0.1),
                (-0.2, -0.54),
            ]
        )
    with stage.shape(dark, at, scale) as pen:
        pen.ellipse(0, -0.78, 0.135, 0.155)
        if rng.random() < 0.5:
            pen.blob(
                [
                    (0, -0.95),
                    (0.15, -0.82),
                    (0.15 + wind, -0.4),
                    (wind, -0.22),
                    (-0.15 + wind, -0.4),
                    (-0.15, -0.82),
                ]
            )
        if carry == "hat":
            pen.polygon([(-0.36, -0.84), (0.36, -0.84), (0.1, -0.98), (wind, -1.28), (-0.1, -0.98)])
        if carry == "umbrella":
            pen.line([(0.1, -1.1), (0.16, -0.1)], 0.03)
    if carry == "umbrella":
        with stage.shape(palette.accent, at, scale, foot=mix(palette.accent, palette.near, 0.5)) as pen:
            pen.ellipse(0.08, -0.92, 0.62, 0.36)
            pen.rectangle(-0.8, -0.92, 0.9, -0.4, cut=True)
    if carry == "staff":
        stage.glow(
            x + 0.46 * scale * stage.unit / stage.width,
            at[1] - 0.92 * scale * stage.unit / stage.floor,
            0.1,
            palette.light,
            1.0,
        )


def wanderer(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Somebody looking into the distance."""
    _stand(
        stage,
        palette,
        rng,
        _Figure(rng.uniform(0.4, 0.6), rng.uniform(0.17, 0.22), rng.choice(("", "staff", ""))),
    )


def umbrella(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Somebody under an umbrella."""
    _stand(stage, palette, rng, _Figure(rng.uniform(0.42, 0.58), rng.uniform(0.2, 0.24), "umbrella"))


def warrior(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A figure with a sword."""
    _stand(stage, palette, rng, _Figure(rng.uniform(0.42, 0.58), rng.uniform(0.22, 0.27), "sword"))


def wizard(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A figure in a pointed hat."""
    _stand(stage, palette, rng, _Figure(rng.uniform(0.42, 0.58), rng.uniform(0.2, 0.25), "hat"))


def couple(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Two people side by side."""
    x, scale = rng.uniform(0.4, 0.5), rng.uniform(0.17, 0.2)
    _stand(stage, palette, rng, _Figure(x, scale))
    aside = 0.55 * scale * stage.unit / stage.width
    _stand(stage, palette, rng, _Figure(x + aside, scale * rng.uniform(0.8, 0.92)))
