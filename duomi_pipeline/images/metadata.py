"""What a picture says about itself: our own JSON, and the `parameters` line that image tools read.

Inserted as text chunks, so pixels keep their bytes. Never in here: the API key, signed addresses.
"""

import json
import re
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from duomi_pipeline.images.chunks import BrokenPngError, read_international_text, walk, with_texts

OWN_KEY = "duomi_generation"
A1111_KEY = "parameters"


class PictureInfo(BaseModel):
    """Everything needed to know, and to record again, what a picture is.

    Attributes:
        prompt_id, prompt_version: whose picture, and of which version of the prompt.
        prompt: the exact text that was sent.
        request_key, request: the request as it was sent, canonical form.
        settings_fingerprint: of the settings it was made under.
        index: 0 for the only or first picture of a request.
        requested_size, received_size, size: `WxH` asked for, sent by the service, of this file.
        seed: the seed the service reported, else the one that was sent.
        origin: `generated`, or `reused` for a copy of what another prompt's identical request had paid.
        price: of this one picture, `None` where it was unknown.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    prompt_id: str
    prompt_version: str
    prompt: str
    request_key: str
    request: dict[str, Any]
    settings_fingerprint: str
    host_kind: str
    model: str
    task_id: str | None = None
    index: int = 0
    requested_size: str
    received_size: str
    size: str
    seed: int | None = None
    origin: str = "generated"
    price: float | None = None
    currency: str = ""
    created_at: datetime


def with_info(png: bytes, info: PictureInfo) -> bytes:
    """The same picture, carrying its information."""
    return with_texts(png, {OWN_KEY: info.model_dump_json(), A1111_KEY: a1111_parameters(info)})


def read_info(png: bytes) -> PictureInfo | None:
    """The information of a picture, `None` where it carries none of ours."""
    try:
        for chunk in walk(png):
            found = read_international_text(chunk)
            if found and found[0] == OWN_KEY:
                return PictureInfo.model_validate(json.loads(found[1]))
            if chunk.kind == b"IDAT":
                return None
    except (BrokenPngError, ValidationError, ValueError, RecursionError):
        return None
    return None


def a1111_parameters(info: PictureInfo) -> str:
    """The text under `parameters`, as AUTOMATIC1111's web UI writes it; prompts are brought to one line."""
    body = info.request["body"]
    lines = [_one_line(info.prompt)]
    if negative := body.get("negative_prompt"):
        lines.append(f"Negative prompt: {_one_line(str(negative))}")
    fields = {
        "Steps": body.get("num_inference_steps", 0),
        "Sampler": "unknown",
        "CFG scale": body.get("guidance_scale", 0),
        "Seed": info.seed if info.seed is not None else 0,
        "Size": info.size,
        "Model": info.model.replace(",", " "),
        "Version": "Duomi Pipeline",
    }
    return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in fields.items())])


def _one_line(text: str) -> str:
    return re.sub(r"Negative prompt:+", "Negative prompt", " ".join(text.split()))
