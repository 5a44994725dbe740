"""The request: what is asked for one picture, and the key by which it is recognised and never bought twice."""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from duomi_pipeline.duomi.profiles import Protocol, profile_of
from duomi_pipeline.duomi.protocols import body_fields
from duomi_pipeline.settings import Parameters, Settings, Size

_MAX_DERIVED_SEED = 9_999_999_999


@dataclass(frozen=True)
class ImageRequest:
    """One request as it is sent.

    Attributes:
        host_kind: sandbox, local or service.
        protocol: how it is sent.
        body: exactly the fields that are sent; what a model does not take is not here.
        delivery_size: the size the user gets.
        asked_size: the size the model is asked for; `body` says it in the protocol's words.
    """

    host_kind: str
    protocol: Protocol
    body: Mapping[str, Any]
    delivery_size: Size
    asked_size: Size

    @cached_property
    def key(self) -> str:
        """SHA-256 over the canonical form: two prompts with the same request pay once."""
        return hashlib.sha256(self.canonical.encode("utf-8", "surrogatepass")).hexdigest()

    @cached_property
    def canonical(self) -> str:
        """The request as JSON with sorted keys, as it is kept in ledger and PNG."""
        return json.dumps(self.content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @property
    def content(self) -> dict[str, Any]:
        """What makes this request this request."""
        return {
            "host_kind": self.host_kind,
            "protocol": self.protocol,
            "body": dict(self.body),
            "delivery_size": str(self.delivery_size),
        }

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.body["model"])

    @property
    def prompt(self) -> str:
        """The text that is sent."""
        return str(self.body["prompt"])

    @property
    def seed(self) -> int | None:
        """The seed, where the model takes one."""
        return self.body.get("seed")

    @property
    def pictures(self) -> int:
        """How many pictures one such request buys."""
        return int(self.body.get("batch_size") or self.body.get("n") or 1)


def build_request(settings: Settings, prompt_id: str, text: str, parameters: Parameters) -> ImageRequest:
    """The request for one prompt, with parameters in which every field has a value."""
    model = parameters.model or settings.model
    profile = profile_of(model)
    protocol: Protocol = profile.protocol if settings.protocol == "auto" else settings.protocol
    delivery = Size.parse(parameters.image_size or settings.image_size)
    seed = derived_seed(prompt_id) if parameters.seed == "per-prompt" else parameters.seed
    asked = profile.native_size(delivery)
    body = body_fields(protocol, model, text, asked, parameters, seed)
    return ImageRequest(settings.host_kind, protocol, body, delivery, asked)


def derived_seed(prompt_id: str) -> int:
    """A seed that belongs to a prompt id, the same on every machine."""
    return zlib.crc32(prompt_id.encode()) % (_MAX_DERIVED_SEED + 1)


def settings_fingerprint(settings: Settings, parameters: Parameters) -> str:
    """Fingerprint of all parameters that are sent for a prompt without overrides: the asset's `code_version`."""
    request = build_request(settings, "", "", parameters)
    own_seeds = parameters.seed == "per-prompt" and "seed" in request.body
    content = f"{request.canonical}|per-prompt" if own_seeds else request.canonical
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]
