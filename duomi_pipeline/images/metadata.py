"""The metadata in a picture: our own JSON, the `parameters` that image tools read, and the XMP packet.

Inserted as text chunks, so pixels keep their bytes. Never in here: the API key, signed URLs. The disclosure that a
picture was generated is in `xmp`, chunks are read and written in `png_chunks`.

Chunks that the service sent stay as they are, a C2PA manifest and ComfyUI's `prompt` and `workflow` among them. Only
its `parameters` give way to ours: readers take one of two, and ours hold the request and the file's real size.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from duomi_pipeline.common.text import is_prompt_id
from duomi_pipeline.images.png_chunks import (
    MAX_TEXTS,
    MAX_UNPACKED,
    BrokenPngError,
    read_text,
    text_key,
    walk,
    with_texts,
)
from duomi_pipeline.images.xmp import CREATOR, SANDBOX_SOFTWARE, XMP_KEY, Making, packet

OWN_KEY = "duomi_generation"
A1111_KEY = "parameters"
_LABELS = re.compile(r"(Negative prompt|^Steps)[\s:]*:", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_IN_FIELDS = re.compile(r"[,:\"{}\[\]\x00-\x1f\x7f-\x9f]")


_Word = Annotated[str, Field(max_length=250)]
_Size = Annotated[str, Field(pattern=r"^\d{1,10}x\d{1,10}$")]
_Seed = Annotated[int, Field(ge=0, lt=2**63)]  # as a ledger can store it


class PictureInfo(BaseModel):
    """All that is needed to identify a picture and to record it again.

    Checked like text from outside: any file may lie in the folder and say that it is ours.

    Attributes:
        prompt_id, prompt_version: the prompt, and its version then.
        prompt: the exact text that was sent.
        request_key, request: the request as it was sent, canonical form.
        settings_fingerprint: of the settings then.
        index: 0 for the only or first picture of a request.
        requested_size, received_size, size: `WxH` asked for, sent by the service, of this file.
        seed: the seed the service reported, else the one that was sent.
        origin: `generated`, or `reused` for a copy of the picture of another prompt with an identical request.
        price: of this one picture, `None` if unknown.
        perceptual_hash, contrast: see `fingerprint.Look`; `None` if never computed.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    schema_version: Literal[1] = 1
    prompt_id: str
    prompt_version: _Word
    prompt: str
    request_key: _Word
    request: dict[str, Any]
    settings_fingerprint: _Word
    host_kind: _Word
    model: _Word
    task_id: Annotated[str, Field(max_length=1_000)] | None = None
    index: Annotated[int, Field(ge=0, le=1_000)] = 0
    requested_size: _Size
    received_size: _Size
    size: _Size
    seed: _Seed | None = None
    origin: _Word = "generated"
    price: Annotated[float, Field(ge=0, le=1e9)] | None = None
    currency: _Word = ""
    perceptual_hash: _Word | None = None
    contrast: float | None = None
    created_at: AwareDatetime

    @field_validator("prompt_id")
    @classmethod
    def _is_an_id(cls, prompt_id: str) -> str:
        if not is_prompt_id(prompt_id):
            raise ValueError("no prompt id")
        return prompt_id

    @field_validator("request")
    @classmethod
    def _is_a_request(cls, request: dict[str, Any]) -> dict[str, Any]:
        body = request.get("body")
        if not isinstance(body, dict):
            raise ValueError("no request")  # noqa: TRY004 - pydantic's way to say so
        texts, seed = (request.get("host_kind"), body.get("model"), body.get("prompt")), body.get("seed")
        if not all(isinstance(text, str) for text in texts) or not isinstance(seed, int | None):
            raise ValueError("no request")
        json.dumps(request, ensure_ascii=False, allow_nan=False).encode()  # as ledger and manifest store it
        return request

    @field_validator("created_at")
    @classmethod
    def _is_of_our_time(cls, moment: datetime) -> datetime:
        if not 2000 <= moment.year < 3000:
            raise ValueError("no time of ours")
        return moment


def with_info(png: bytes, info: PictureInfo) -> bytes:
    """The same picture with its metadata inserted."""
    carried = dict(read_texts(png))
    texts = {
        OWN_KEY: info.model_dump_json(),
        A1111_KEY: a1111_parameters(info),
        XMP_KEY: packet(_making(info, carried), carried),
    }
    return with_texts(png, texts, plain=(A1111_KEY,))


def read_texts(png: bytes) -> list[tuple[str, str]]:
    """Key and text of all text chunks, in the file's order, without those that exceed the limits.

    Raises:
        BrokenPngError: it is no whole PNG.
    """
    found, room = [], MAX_TEXTS
    for chunk in walk(png):
        text = read_text(chunk) if room > 0 else None
        if text is None:
            continue
        if len(text[1]) <= room:
            found.append(text)
            room -= len(text[1])
        else:
            room -= MAX_UNPACKED  # what is left out took time to unpack, too
    return found


def read_info(png: bytes) -> PictureInfo | None:
    """The metadata of a picture; `None` if it has none of ours."""
    try:
        for chunk in walk(png):
            if text_key(chunk) == OWN_KEY and (found := read_text(chunk)):
                return PictureInfo.model_validate_json(found[1])
            if chunk.kind == b"IDAT":
                return None
    except (BrokenPngError, ValidationError, RecursionError):
        return None
    return None


def a1111_parameters(info: PictureInfo) -> str:
    """The text under `parameters`, as AUTOMATIC1111's web UI writes it, reduced to what all readers of it can parse.

    Readers find the prompts by lines that begin with `Negative prompt:` and `Steps:`, so prompts are joined to one
    line without these words' colons. They cut fields at commas, and split them at colons; the last may lose its end.
    """
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
        "Model": " ".join(_NOT_IN_FIELDS.sub(" ", info.model).split()),
        "Version": CREATOR,
    }
    return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in fields.items())])


def _one_line(text: str) -> str:
    return _LABELS.sub(r"\1", " ".join(_CONTROLS.sub(" ", text).split()))


def _making(info: PictureInfo, carried: Mapping[str, str]) -> Making:
    made_at = info.created_at.astimezone(UTC)
    # The label takes ASCII alone.
    whose = info.prompt_id if info.prompt_id.isascii() else hashlib.sha256(info.prompt_id.encode()).hexdigest()[:16]
    return Making(
        prompt=info.prompt,
        model=info.model,
        number=f"{whose}-{made_at:%Y%m%dT%H%M%S}{made_at.microsecond // 1000:03d}Z-{info.index}",
        made_at=made_at,
        is_sandbox=info.host_kind == "sandbox" or carried.get("Software") == SANDBOX_SOFTWARE,
    )
