"""The request: the fields that are sent for a prompt, and the key by which it is recognised and never bought twice.

Here a prompt's parameters become fields, or a `Problem`. What each model accepts is in `profiles`.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from duomi_pipeline.duomi.profiles import Profile, Protocol, profile_of, profiles_fingerprint
from duomi_pipeline.duomi.protocols import ROUTES, Asked, body_fields
from duomi_pipeline.duomi.sizes import nearest_ratio
from duomi_pipeline.settings import ImageParameters, Settings, SettingsError, Size

_MAX_DERIVED_SEED = 9_999_999_999
_SPEND_CAPS = ("max_spend_per_run", "max_spend_per_day")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request must not be sent.

    Attributes:
        reason: what is wrong, and what is allowed.
        field: the wrong parameter, empty if no single parameter is wrong.
        value: the value of that parameter.
    """

    reason: str
    field: str = ""
    value: object = None

    def __str__(self) -> str:
        return f"{self.field}={self.value}: {self.reason}" if self.field else self.reason


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One request as it is sent.

    Attributes:
        host_kind: `sandbox`, `local` or `service`.
        protocol: how it is sent.
        body: exactly the fields that are sent, without those that the model does not accept.
        delivery_size: the size that the user gets.
        asked_size: the size that is requested from the model; `body` has it in the form of the protocol.
        profile: profile of the model.
        price: price of one picture, `None` where unknown.
        problem: why it must not be sent, `None` where it may be.
        key: SHA-256 over the canonical form: two prompts with the same request pay once.
    """

    host_kind: str
    protocol: Protocol
    body: Mapping[str, Any]
    delivery_size: Size
    asked_size: Size
    profile: Profile
    price: float | None = None
    problem: Problem | None = None
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", request_key(self.content))

    def with_prompt(self, text: str) -> "ImageRequest":
        """The same request for another text."""
        return replace(self, body={**self.body, "prompt": text})

    @property
    def canonical(self) -> str:
        """The request as JSON with sorted keys, as stored in ledger and PNG. Not cached, because it is large."""
        return _canonical(self.content)

    @property
    def content(self) -> dict[str, Any]:
        """Everything that identifies the request; the key is made from it."""
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
    def takes_negative_prompt(self) -> bool:
        """Whether the model accepts a negative prompt."""
        return "negative_prompt" in _taken(self.profile, self.protocol)

    @property
    def seed(self) -> int | None:
        """The seed, where the model accepts one."""
        return self.body.get("seed")

    @property
    def pictures(self) -> int:
        """How many pictures the request buys."""
        return int(self.body.get("batch_size") or self.body.get("n") or 1)

    @property
    def cost(self) -> float | None:
        """Its cost: the service bills the requested pictures, however many it delivers. `None` where unknown."""
        return None if self.price is None else self.price * self.pictures


def request_key(content: Mapping[str, Any]) -> str:
    """The key of a request, from its `content`."""
    return hashlib.sha256(_canonical(content).encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def build_request(settings: Settings, prompt_id: str, text: str, parameters: ImageParameters) -> ImageRequest:
    """The request for one prompt; it has a `problem` if the model does not accept it.

    Raises:
        SettingsError: the user's file of models is invalid.
    """
    model = parameters.model
    profile = profile_of(settings, model)
    protocol: Protocol = profile.protocol if settings.protocol == "auto" else settings.protocol
    delivery = Size.parse(parameters.image_size)
    takes = _taken(profile, protocol)
    seed = derived_seed(prompt_id) if parameters.seed == "per-prompt" else parameters.seed
    asked = _asked(profile, protocol, delivery)
    price = _price(settings, profile)
    problem = (
        Problem(f"{model} makes no such shape", "image_size", delivery)
        if asked is None
        else _problem(model, profile, takes, parameters, seed) or _unknown_price(settings, model, price)
    )
    asked = asked or Asked(delivery)
    body = body_fields(protocol, model, text, asked, takes, parameters, seed)
    return ImageRequest(settings.host_kind, protocol, body, delivery, asked.size, profile, price, problem)


def check_parameters(settings: Settings, parameters: ImageParameters) -> None:
    """Check that prompts without overrides can be requested, also from the fallback models.

    Args:
        parameters: the parameters of run and settings.

    Raises:
        SettingsError: a model does not accept a value; names the setting, or the parameter if the run set it.
    """
    for model in (None, *settings.fallback_models):
        wanted = parameters if model is None else parameters.model_copy(update={"model": model})
        problem = build_request(settings, "", "", wanted).problem
        if problem is None:
            continue
        name = problem.field
        if name and getattr(parameters, name) == getattr(settings, name):  # the settings, not the run, set it
            problem = replace(problem, field=f"DUOMI_{name.upper()}")
        raise SettingsError(str(problem) if model is None else f"DUOMI_FALLBACK_MODELS: {problem}")


def _taken(profile: Profile, protocol: Protocol) -> Set[str]:
    """The optional fields that a model accepts in a protocol, whether or not they are sent."""
    fields = ROUTES[protocol].fields
    return fields if profile.fields is None else fields & profile.fields


def _asked(profile: Profile, protocol: Protocol, delivery: Size) -> Asked | None:
    """The size or ratio to request, `None` if the model has no usable one."""
    if ratios := ROUTES[protocol].ratios:
        ratio, size = nearest_ratio(profile.ratios or ratios, delivery)
        return Asked(size, ratio)
    nearest = profile.size_rule.nearest(delivery)
    return None if nearest is None else Asked(nearest)


def _problem(
    model: str, profile: Profile, takes: Set[str], parameters: ImageParameters, seed: int | None
) -> Problem | None:
    """The first value that the model does not accept, if any."""
    for name, (low, high) in profile.ranges.items():
        value = seed if name == "seed" else getattr(parameters, name)
        if name in takes and value is not None and not low <= value <= high:
            return Problem(f"{model} takes {low:.10g} to {high:.10g}", name, value)
    most, wanted = profile.batch_max if "batch_size" in takes else 1, parameters.batch_size
    if wanted > most:
        return Problem(f"{model} makes {most} per request; set it to {most}", "batch_size", wanted)
    return None


def _price(settings: Settings, profile: Profile) -> float | None:
    """The price of one picture: the setting for all models, else that of the profile."""
    if settings.price is not None:
        return settings.price
    return profile.price


def _unknown_price(settings: Settings, model: str, price: float | None) -> Problem | None:
    """The problem of an unknown price under a cap on spending, if both are the case."""
    caps = [name for name in _SPEND_CAPS if getattr(settings, name) is not None]
    if price is not None or not caps:
        return None
    return Problem(
        f"DUOMI_{caps[0].upper()} is set, but what a picture of {model} costs is not: "
        f"set DUOMI_PRICE_PER_IMAGE, or its `price` in {settings.models_file}"
    )


def derived_seed(prompt_id: str) -> int:
    """The seed for a prompt id; the same on every machine."""
    return zlib.crc32(prompt_id.encode()) % (_MAX_DERIVED_SEED + 1)


def settings_fingerprint(settings: Settings, parameters: ImageParameters) -> str:
    """Fingerprint of all settings that change the request of a prompt without overrides: the asset's `code_version`."""
    request = build_request(settings, "", "", parameters)
    own_seeds = parameters.seed == "per-prompt" and "seed" in request.body
    content = f"{request.canonical}|per-prompt" if own_seeds else request.canonical
    if settings.clean_prompts:
        content += "|clean"
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def request_basis(settings: Settings, parameters: ImageParameters) -> str:
    """Fingerprint of everything but the prompt that a request is made from: of the same prompt it has the same key."""
    names = ImageParameters.model_fields
    content = {name: getattr(parameters, name) for name in names}
    content |= {"host_kind": settings.host_kind, "protocol": settings.protocol, "clean": settings.clean_prompts}
    content |= {"profiles": profiles_fingerprint(settings), "program": version("duomi-pipeline")}
    return hashlib.sha256(_canonical(content).encode("utf-8", "surrogatepass")).hexdigest()[:16]
