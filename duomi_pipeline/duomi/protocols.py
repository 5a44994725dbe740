"""The four contracts of the API: where each is sent, with which fields, and where its tasks are asked for.

Which of the optional fields a model takes is `profiles`'s; reading the answers is `answers`'s; sending is the client's.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from duomi_pipeline.duomi.profiles import OptionalField, Protocol
from duomi_pipeline.settings import ImageParameters, Size


@dataclass(frozen=True)
class Route:
    """What is one protocol's own.

    Attributes:
        submit_path: where requests go.
        task_path: where tasks are asked for; `None` where the answer to the POST holds the pictures.
        fields: the optional fields that it has.
        ratios: what a picture is asked in where it is asked by ratio and resolution; empty where by its size.
    """

    submit_path: str
    task_path: str | None = None
    fields: frozenset[OptionalField] = frozenset()
    ratios: tuple[str, ...] = ()


ROUTES: Mapping[Protocol, Route] = {
    "siliconflow": Route(
        "/v1/images/generations",
        fields=frozenset({"negative_prompt", "batch_size", "seed", "num_inference_steps", "guidance_scale"}),
    ),
    "openai": Route("/v1/images/generations", fields=frozenset({"batch_size"})),
    "duomi_async": Route("/v1/images/generations?async=true", "/v1/tasks/{task_id}"),
    # The ratios that all models of the family take: ai.google.dev/gemini-api/docs/image-generation.
    "nano_banana": Route(
        "/api/gemini/nano-banana",
        "/api/gemini/nano-banana/{task_id}",
        ratios=("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"),
    ),
}
KEY_PROBE_PATH = "/v1/tasks/__probe__"


@dataclass(frozen=True)
class Asked:
    """The size in which a picture is asked for, and the ratio where it is asked by that."""

    size: Size
    ratio: str = ""


def body_fields(
    protocol: Protocol,
    model: str,
    prompt: str,
    asked: Asked,
    takes: Set[str],
    parameters: ImageParameters,
    seed: int | None,
) -> dict[str, Any]:
    """The fields that are sent, with their values; nothing else ever is.

    Args:
        takes: the optional fields that the model takes in this protocol.
    """
    body: dict[str, Any] = {"model": model, "prompt": prompt}
    if protocol == "siliconflow":
        optional = {
            "batch_size": parameters.batch_size,
            "seed": seed,
            "num_inference_steps": parameters.num_inference_steps,
            "guidance_scale": parameters.guidance_scale,
            "negative_prompt": parameters.negative_prompt or None,
        }
        body["image_size"] = str(asked.size)
        body |= {name: value for name, value in optional.items() if value is not None and name in takes}
    elif protocol == "openai":
        body |= {"size": str(asked.size), "output_format": "png"}
        if "batch_size" in takes:
            body["n"] = parameters.batch_size
    elif protocol == "duomi_async":
        body["size"] = str(asked.size)
    else:
        body |= {"aspect_ratio": asked.ratio, "image_size": _resolution(asked.size)}
    return body


def _resolution(size: Size) -> str:
    """The nano-banana family's word for how large: the first that is not smaller than the size."""
    longest = max(size)
    return "1K" if longest <= 1024 else "2K" if longest <= 2048 else "4K"
