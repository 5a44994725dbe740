"""Model profiles: which protocol a model speaks and which sizes it takes. The data is `models.toml`."""

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from duomi_pipeline.settings import Size

Protocol = Literal["siliconflow", "openai", "duomi_async", "nano_banana"]


@dataclass(frozen=True)
class Profile:
    """How one model is asked; the defaults are those of a model nobody described."""

    protocol: Protocol = "siliconflow"
    side_multiple: int = 1
    min_pixels: int = 0
    max_pixels: int = 100_000_000
    max_side: int = 8192

    def native_size(self, delivery: Size) -> Size:
        """The size to ask for: the delivery size if the model takes it, else the smallest legal one above it.

        Keeps the exact shape where some legal size has it; else the sides are rounded up, each on its own.
        """
        if self.side_multiple == 1:
            return delivery
        common = math.gcd(*delivery)
        shape = Size(delivery.width // common, delivery.height // common)
        factor = math.lcm(*(self.side_multiple // math.gcd(self.side_multiple, side) for side in shape))
        unit = Size(shape.width * factor, shape.height * factor)
        sizes = [Size(unit.width * k, unit.height * k) for k in range(1, self.max_side // max(unit) + 1)]
        legal = [size for size in sizes if self.min_pixels <= size.width * size.height <= self.max_pixels]
        large_enough = [size for size in legal if size.width >= delivery.width]
        if legal:
            return large_enough[0] if large_enough else legal[-1]
        return self._near(delivery)

    def _near(self, delivery: Size) -> Size:
        """A legal size near to a shape that no legal size has exactly."""
        pixels = delivery.width * delivery.height
        scale = math.sqrt(min(max(pixels, self.min_pixels), self.max_pixels) / pixels)
        scale = min(scale, self.max_side / max(delivery))
        rounded = math.floor if scale < 1 else math.ceil
        sides = [max(rounded(side * scale / self.side_multiple), 1) * self.side_multiple for side in delivery]
        sides = [min(side, self.max_side) for side in sides]
        while sides[0] * sides[1] > self.max_pixels:
            sides[sides.index(max(sides))] -= self.side_multiple
        while sides[0] * sides[1] < self.min_pixels:
            sides[sides.index(min(sides))] += self.side_multiple
        return Size(*sides)


@cache
def known_profiles() -> dict[str, Profile]:
    """All profiles by model name."""
    text = files("duomi_pipeline.duomi").joinpath("models.toml").read_text(encoding="utf-8")
    return {name: Profile(**fields) for name, fields in tomllib.loads(text).items()}


def profile_of(model: str) -> Profile:
    """The profile of a model; an unknown one is asked like the default model."""
    return known_profiles().get(model, Profile())
