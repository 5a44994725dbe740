"""The four contracts of the API: where each is sent, with which fields, and where its tasks are asked for.

Reading the answers is `answers`'s; sending is the client's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from typing import Any

from duomi_pipeline.duomi.profiles import Protocol
from duomi_pipeline.settings import Parameters, Size


@dataclass(frozen=True)
class Route:
    """Paths of one protocol; `task_path` is `None` where the answer to the POST holds the pictures."""

    submit_path: str
    task_path: str | None = None


ROUTES: Mapping[Protocol, Route] = {
    "siliconflow": Route("/v1/images/generations"),
    "openai": Route("/v1/images/generations"),
    "duomi_async": Route("/v1/images/generations?async=true", "/v1/tasks/{task_id}"),
    "nano_banana": Route("/api/gemini/nano-banana", "/api/gemini/nano-banana/{task_id}"),
}
KEY_PROBE_PATH = "/v1/tasks/__probe__"


def body_fields(
    protocol: Protocol, model: str, prompt: str, size: Size, parameters: Parameters, seed: int | None
) -> dict[str, Any]:
    """The fields a protocol takes, with their values; nothing else is ever sent."""
    body: dict[str, Any] = {"model": model, "prompt": prompt}
    if protocol == "siliconflow":
        body |= {
            "image_size": str(size),
            "batch_size": parameters.batch_size,
            "seed": seed,
            "num_inference_steps": parameters.num_inference_steps,
            "guidance_scale": parameters.guidance_scale,
        }
        if parameters.negative_prompt:
            body["negative_prompt"] = parameters.negative_prompt
    elif protocol == "openai":
        body |= {"size": str(size), "n": parameters.batch_size, "output_format": "png"}
    elif protocol == "duomi_async":
        body |= {"size": str(size)}
    else:
        common = gcd(*size)
        body |= {
            "aspect_ratio": f"{size.width // common}:{size.height // common}",
            "image_size": _resolution(size),
        }
    return body


def _resolution(size: Size) -> str:
    """The nano-banana family's word for how large: the first that is not smaller than the size."""
    longest = max(size)
    return "1K" if longest <= 1024 else "2K" if longest <= 2048 else "4K"
