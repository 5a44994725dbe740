"""The four protocols of the Duomi contract, seen from the service: fields taken in, refusals.

A request body becomes an `Order` here, or a `ServiceError`. Whether the order is then served is decided in
`submissions`, and the answers are shaped in `responses`.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from duomi_pipeline.sandbox.faults import ImageFormat

Protocol = Literal["siliconflow", "openai", "duomi_async", "nano_banana"]
Size = tuple[int, int]

BAD_FIELD = 20015
MAX_SEED = 9_999_999_999
GPT_IMAGE = "gpt-image-2"
OPENAI_FIELDS = frozenset({"size", "n", "quality", "output_format", "response_format"})
SILICONFLOW_FIELDS = frozenset({"image_size", "batch_size", "num_inference_steps", "guidance_scale"})

# Native sizes of the Gemini image models at 1K; 2K and 4K are multiples of them.
GEMINI_SIZES: dict[str, Size] = {
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:2": (1248, 832),
    "3:4": (864, 1184),
    "4:3": (1184, 864),
    "4:5": (896, 1152),
    "5:4": (1152, 896),
    "9:16": (768, 1344),
    "16:9": (1344, 768),
    "21:9": (1536, 672),
}
GEMINI_SCALES = {"1K": 1, "2K": 2, "4K": 4}


@dataclass
class ServiceError(Exception):
    """A request that the service turns down.

    Args:
        status: HTTP status.
        code: The service's own code, as in the body.
        message: The text in the body.
        retry_after: Seconds for the Retry-After header.
        html: The body is an HTML page instead of JSON.
    """

    status: int
    code: int
    message: str
    retry_after: float | None = None
    html: bool = False


@dataclass(frozen=True)
class Order:
    """What a valid request asks for, in whichever protocol it came."""

    protocol: Protocol
    model: str
    prompt: str
    size: Size
    pictures: int = 1
    seed: int | None = None
    image_format: ImageFormat = "png"
    inline: bool = False


def _said(text: str) -> str:
    # JSON can carry halves of surrogate pairs, which are no text; encoding them is a ValueError too.
    if not text.encode().strip():
        raise ValueError("must not be empty")
    return text


def parse_size(text: str) -> Size:
    """Width and height of a size written as WxH.

    Raises:
        ServiceError: It is not one, or a side is not within 16 to 4096.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(16 <= side <= 4096 for side in size):
        raise ServiceError(400, BAD_FIELD, f"size {text[:40]!r} is not valid")
    return size


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)

    model: Annotated[str, AfterValidator(_said)]
    prompt: Annotated[str, AfterValidator(_said)]


class SiliconFlowBody(_Body):
    """Fields of the guide's protocol; others are ignored, as the real service does."""

    negative_prompt: str = ""
    image_size: str = "1024x1024"
    batch_size: int = Field(default=1, ge=1, le=4)
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    num_inference_steps: int = Field(default=20, ge=1, le=100)
    guidance_scale: float = Field(default=7.5, ge=0, le=20)

    def order(self) -> Order:
        """The order in the common form."""
        size = parse_size(self.image_size)
        return Order("siliconflow", self.model, self.prompt, size, self.batch_size, self.seed)


class OpenAIBody(_Body):
    """Fields of the OpenAI images protocol."""

    size: str = "1024x1024"
    n: int = Field(default=1, ge=1, le=10)
    quality: str | None = None
    output_format: Literal["png", "jpeg", "webp"] = "png"
    response_format: Literal["url", "b64_json"] = "url"

    def order(self) -> Order:
        """The order in the common form."""
        size = parse_size(self.size)
        inline = self.response_format == "b64_json"
        return Order("openai", self.model, self.prompt, size, self.n, None, self.output_format, inline)


class GptImageBody(_Body):
    """Fields of gpt-image-2, which takes no others."""

    model_config = ConfigDict(extra="forbid")

    size: str = "1024x1024"
    quality: Literal["low", "medium", "high", "auto"] = "auto"
    image: list[str] = []

    def order(self) -> Order:
        """The order in the common form.

        Raises:
            ServiceError: The size is not one that the model can draw.
        """
        width, height = size = (1024, 1024) if self.size == "auto" else parse_size(self.size)
        if self.model == GPT_IMAGE and (width % 16 or height % 16):
            raise ServiceError(400, BAD_FIELD, "size: both sides must be divisible by 16")
        if self.model == GPT_IMAGE and (max(size) > 3840 or not 640_000 <= width * height <= 8_300_000):
            raise ServiceError(400, BAD_FIELD, "size: at most 3840 on the long side, 0.64 to 8.3 megapixels")
        return Order("duomi_async", self.model, self.prompt, size)


class NanoBananaBody(_Body):
    """Fields of the Gemini image models, which take no others."""

    model_config = ConfigDict(extra="forbid")

    aspect_ratio: str = "1:1"
    image_size: Literal["1K", "2K", "4K"] = "1K"
    image_urls: list[str] = []

    def order(self) -> Order:
        """The order in the common form.

        Raises:
            ServiceError: The aspect ratio is not one of the model's.
        """
        native = GEMINI_SIZES.get(self.aspect_ratio)
        if native is None:
            raise ServiceError(400, BAD_FIELD, "aspect_ratio: must be one of " + ", ".join(GEMINI_SIZES))
        scale = GEMINI_SCALES[self.image_size]
        return Order("nano_banana", self.model, self.prompt, (native[0] * scale, native[1] * scale))


def parse_fields(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; empty if there is none, which then lacks every required field."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def sync_protocol(fields: dict[str, Any]) -> Protocol:
    """Which of the two protocols that share a path a body is written in."""
    named = fields.keys()
    return "openai" if named & OPENAI_FIELDS and not named & SILICONFLOW_FIELDS else "siliconflow"


def read_order(protocol: Protocol, fields: dict[str, Any]) -> Order:
    """Check a body's fields as the real service would.

    Raises:
        ServiceError: A field is missing, out of range or not taken by the model.
    """
    body: type[SiliconFlowBody] | type[OpenAIBody] | type[GptImageBody] | type[NanoBananaBody]
    if protocol == "nano_banana":
        body = NanoBananaBody
    elif protocol == "duomi_async" or fields.get("model") == GPT_IMAGE:
        body = GptImageBody
    else:
        body = OpenAIBody if protocol == "openai" else SiliconFlowBody
    try:
        return replace(body.model_validate(fields).order(), protocol=protocol)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ascii(".".join(map(str, first["loc"])))[1:-1]
        raise ServiceError(400, BAD_FIELD, f"{field[:80]}: {first['msg']}") from error
