"""The four protocols of the API: the paths for requests and tasks, and the fields of a request.

Which optional fields a model accepts is in `profiles`; parsing answers is in `answers`; sending is in `client`.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from duomi_pipeline.duomi.profiles import OptionalField, Protocol
from duomi_pipeline.settings import ImageParameters, Size


@dataclass(frozen=True)
class Route:
    """Paths and fields of one protocol.

    Attributes:
        submit_path: path for requests.
        task_path: path for polling tasks; `None` where the answer to the POST holds the pictures.
        fields: its optional fields.
        ratios: the ratios of a protocol that takes ratio and resolution; empty where it takes a size.
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
    # The ratios that all models of the family accept: ai.google.dev/gemini-api/docs/image-generation.
    "nano_banana": Route(
        "/api/gemini/nano-banana",
        "/api/gemini/nano-banana/{task_id}",
        ratios=("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"),
    ),
}
KEY_PROBE_PATH = "/v1/tasks/__probe__"


@dataclass(frozen=True)
class Asked:
    """The requested size, and the ratio in a protocol with ratios."""

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
    """All fields of the request body.

    Args:
        takes: the optional fields that the model accepts in this protocol.
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
    """The resolution class of the nano-banana family: the smallest that covers the size."""
    longest = max(size)
    return "1K" if longest <= 1024 else "2K" if longest <= 2048 else "4K"
