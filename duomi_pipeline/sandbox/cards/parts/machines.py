"""Robots, and what carries people over water, through the air and beyond.

Holds: robot, boat, balloon, rocket. Not here: people, buildings, places.
"""

import random

from duomi_pipeline.sandbox.cards.palette import Palette, luminance, mix
from duomi_pipeline.sandbox.cards.shapes import Point, points, turned
from duomi_pipeline.sandbox.cards.stage import Stage


def robot(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A robot's head and shoulders with a glowing visor."""
    at, scale = (0.5, 0.52), 0.42
    metal = mix(palette.far, palette.light, 0.45 if luminance(palette.far) < 120 else 0.2)
    dark = mix(palette.near, (0, 0, 0), 0.2)
    head, eyes = rng.uniform(0.36, 0.46), rng.choice(("visor", "round", "single"))
    with stage.shape(mix(metal, palette.near, 0.45), at, scale, foot=palette.near, reach=1.9) as pen:
        pen.rectangle(-0.15, 0.3, 0.15, 0.7)
        pen.blob(points("-30,62 30,62 78,72 100,120 90,220 -90,220 -100,120 -78,72"))
        for x in (-0.74, 0.74):
            pen.ellipse(x, 0.86, 0.28, 0.26)
    with stage.shape(metal, at, scale, foot=mix(metal, palette.near, 0.5)) as pen:
        pen.blob(
            [
                (0, -0.6),
                (head * 0.8, -0.5),
                (head, -0.1),
                (head * 0.86, 0.3),
                (0.16, 0.42),
                (-0.16, 0.42),
                (-head * 0.86, 0.3),
                (-head, -0.1),
                (-head * 0.8, -0.5),
            ]
        )
        for x in (-head, head):
            pen.ellipse(x, -0.04, 0.1, 0.16)
        pen.line([(0.2, -0.5), (0.3, -0.86)], 0.03)
    with stage.shape(dark, at, scale) as pen:
        pen.blob(
            [
                (-head * 0.78, -0.2),
                (0, -0.27),
                (head * 0.78, -0.2),
                (head * 0.74, 0.1),
                (0, 0.16),
                (-head * 0.74, 0.1),
            ]
        )
        for row in range(3):
            pen.rectangle(-0.12, 0.24 + 0.05 * row, 0.12, 0.255 + 0.05 * row)
    with stage.shape(palette.accent, at, scale) as pen:
        if eyes == "visor":
            pen.line([(-head * 0.6, -0.04), (0, -0.07), (head * 0.6, -0.04)], 0.07)
        for x in {"round": (-0.17, 0.17), "single": (0.0,)}.get(eyes, ()):
            pen.ellipse(x, -0.06, 0.085, 0.085)
        pen.ellipse(0.3, -0.88, 0.05, 0.05)
        pen.ellipse(0, 1.0, 0.1, 0.1)
    stage.glow(0.5, 0.52 - 0.05 * scale, 0.28, palette.accent, 0.55)


def boat(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A sailing boat with its reflection."""
    side, scale = rng.choice((-1, 1)), rng.uniform(0.27, 0.33)
    at = (rng.uniform(0.42, 0.58), 0.96 - scale * stage.unit / stage.floor)
    sail = mix(palette.light, palette.low, 0.1)
    with stage.shape(mix(sail, palette.near, 0.3), at, scale, opacity=0.3, reach=1.7) as pen:
        pen.polygon([(-0.6, 1.06), (0.6, 1.06), (side * 0.1, 1.62)])
    with stage.shape(sail, at, scale, foot=mix(sail, palette.accent, 0.3)) as pen:
        pen.polygon([(side * -0.04, -0.9), (side * -0.04, 0.56), (side * -0.72, 0.56)])
        pen.blob([(side * 0.06, -0.62), (side * 0.36, -0.1), (side * 0.6, 0.54), (side * 0.06, 0.54)])
    with stage.shape(palette.accent, at, scale, foot=mix(palette.accent, palette.near, 0.6)) as pen:
        pen.polygon([(-0.86, 0.68), (0.86, 0.68), (0.56, 1.02), (-0.56, 1.02)])
        pen.polygon([(0, -1.0), (side * 0.24, -0.92), (0, -0.84)])
    with stage.shape(palette.near, at, scale) as pen:
        pen.line([(0, -1.0), (0, 0.7)], 0.03)


def balloon(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """Hot-air balloons, one close, two far."""
    for x, t, scale in ((rng.uniform(0.4, 0.6), 0.5, 0.3), (0.16, 0.3, 0.09), (0.84, 0.42, 0.12)):
        at = (x, t + rng.uniform(-0.05, 0.05))
        outline: list[Point] = points("0,-100 60,-80 80,-30 50,30 16,72 -16,72 -50,30 -80,-30 -60,-80")
        for share, colour in (
            (1.0, palette.accent),
            (0.66, mix(palette.light, palette.low, 0.2)),
            (0.3, palette.accent),
        ):
            with stage.shape(colour, at, scale, foot=mix(colour, palette.near, 0.4)) as pen:
                pen.blob([(px * share, py) for px, py in outline])
        with stage.shape(palette.near, at, scale) as pen:
            for px in (-0.13, 0.13):
                pen.line([(px, 0.7), (px, 1.0)], 0.02)
            pen.rectangle(-0.17, 0.96, 0.17, 1.18)


def rocket(stage: Stage, palette: Palette, rng: random.Random) -> None:
    """A rocket on its flame."""
    at, scale, tilt = (0.5, 0.5), rng.uniform(0.38, 0.44), rng.uniform(-0.45, 0.45)
    hull = mix(palette.light, palette.far, 0.15)
    stage.glow(0.5 - tilt * 0.3, 0.86, 0.5, palette.accent, 0.8)
    with stage.shape(palette.light, at, scale, foot=palette.accent, reach=1.6) as pen:
        pen.blob(turned(points("-16,55 16,55 14,90 0,140 -14,90"), tilt))
    with stage.shape(palette.accent, at, scale, foot=mix(palette.accent, palette.near, 0.5)) as pen:
        for side in (-1, 1):
            pen.polygon(
                turned([(side * 0.2, 0.15), (side * 0.52, 0.6), (side * 0.46, 0.72), (side * 0.14, 0.58)], tilt)
            )
    with stage.shape(hull, at, scale, foot=mix(hull, palette.near, 0.4)) as pen:
        pen.blob(turned(points("0,-100 20,-62 27,-10 18,60 -18,60 -27,-10 -20,-62"), tilt))
    with stage.shape(palette.near, at, scale) as pen:
        pen.ellipse(*turned([(0, -0.3)], tilt)[0], 0.13, 0.13)
    with stage.shape(palette.accent, at, scale) as pen:
        pen.ellipse(*turned([(0, -0.3)], tilt)[0], 0.09, 0.09)
