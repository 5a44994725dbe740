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
        return Size(*(min(self._rounded_up(side), self.max_side) for side in delivery))

    def _rounded_up(self, side: int) -> int:
        return -(-side // self.side_multiple) * self.side_multiple


@cache
def known_profiles() -> dict[str, Profile]:
    """All profiles by model name."""
    text = files("duomi_pipeline.duomi").joinpath("models.toml").read_text(encoding="utf-8")
    return {name: Profile(**fields) for name, fields in tomllib.loads(text).items()}


def profile_of(model: str) -> Profile:
    """The profile of a model; an unknown one is asked like the default model."""
    return known_profiles().get(model, Profile())
