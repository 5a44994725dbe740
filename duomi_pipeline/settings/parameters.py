"""The parameters of a request, and the layers that set some of them. What a model accepts is in `duomi.profiles`."""

import re
import sys
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Size(NamedTuple):
    """A picture's size in pixels."""

    width: int
    height: int

    @classmethod
    @lru_cache(maxsize=100)  # the same object for 100,000 requests of one size
    def parse(cls, text: str) -> Self:
        """Read `"1080x1920"`."""
        width, height = text.split("x")
        return cls(int(width), int(height))

    def __str__(self) -> str:
        return sys.intern(f"{self.width}x{self.height}")


def _checked_size(value: object) -> object:
    match = re.fullmatch(r"\s*(\d{2,4})\s*[xX×]\s*(\d{2,4})\s*", value) if isinstance(value, str) else None
    if not match or not all(64 <= int(side) <= 8192 for side in match.groups()):
        raise ValueError("write it as WIDTHxHEIGHT, both 64 to 8192, for example 1080x1920")
    return f"{int(match[1])}x{int(match[2])}"


ModelName = Annotated[str, Field(min_length=1, max_length=200)]
NegativePrompt = Annotated[str, Field(max_length=10_000)]
ImageSize = Annotated[str, BeforeValidator(_checked_size)]
Seed = Annotated[int, Field(ge=0, le=9_999_999_999)] | Literal["per-prompt"]


class ImageParameters(BaseModel):
    """All parameters of a request, each with a value. This is the only list of these fields.

    Environment variables, flags, launchpad fields and documentation are made from it. The ranges are those of
    SiliconFlow's image API, which the default model uses; the limits of other models are in their profiles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    model: ModelName = Field("stabilityai/stable-diffusion-xl-base-1.0", description="Model that draws.")
    image_size: ImageSize = Field("1080x1920", description="What is delivered, as WIDTHxHEIGHT in pixels.")
    negative_prompt: NegativePrompt = Field("", description="What not to draw.")
    batch_size: int = Field(1, ge=1, le=4, description="Pictures per prompt, 1 to 4.")
    num_inference_steps: int = Field(20, ge=1, le=100, description="Inference steps, 1 to 100.")
    guidance_scale: float = Field(7.5, ge=0, le=20, description="How closely the prompt is followed, 0 to 20.")
    seed: Seed = Field(51515151, description="0 to 9999999999, or per-prompt: derived from the prompt id.")


def _unset(name: str) -> Any:
    return Field(None, description=ImageParameters.model_fields[name].description)


_Layer = TypeVar("_Layer", ImageParameters, "ParameterOverrides")


class ParameterOverrides(BaseModel):
    """The parameters that one layer (a run, a prompt's own JSON) sets; `None`: not set in this layer."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    model: ModelName | None = _unset("model")
    image_size: ImageSize | None = _unset("image_size")
    negative_prompt: NegativePrompt | None = _unset("negative_prompt")
    batch_size: Annotated[int, Field(ge=1, le=4)] | None = _unset("batch_size")
    num_inference_steps: Annotated[int, Field(ge=1, le=100)] | None = _unset("num_inference_steps")
    guidance_scale: Annotated[float, Field(ge=0, le=20)] | None = _unset("guidance_scale")
    seed: Seed | None = _unset("seed")

    def explicit(self) -> dict[str, Any]:
        """Only the fields that are set."""
        return self.model_dump(exclude_none=True)

    def over(self, below: _Layer) -> _Layer:
        """The parameters of the layer below, overridden by the fields that are set here."""
        explicit = self.explicit()
        return type(below)(**{**below.model_dump(exclude_none=True), **explicit}) if explicit else below
