"""Model profiles: the protocol, fields, ranges and sizes of each model, from `models.toml` and the user's own file.

Which optional fields a protocol has is in `protocols`; choosing a size is in `sizes`.
"""

import contextlib
import hashlib
import os
import tomllib
from collections.abc import Mapping
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from duomi_pipeline.duomi.sizes import SizeRule
from duomi_pipeline.settings import ImageSize, Settings, SettingsError, Size

Protocol = Literal["siliconflow", "openai", "duomi_async", "nano_banana"]
OptionalField = Literal["negative_prompt", "batch_size", "seed", "num_inference_steps", "guidance_scale"]
Ranged = Literal["seed", "num_inference_steps", "guidance_scale"]
_TRIAL_SIZES = (Size(1080, 1920), Size(1920, 1080), Size(1024, 1024))


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("write the lower limit first")
    return limits


class Profile(BaseModel):
    """What one model accepts; the defaults are for a model without a profile.

    Attributes:
        protocol: its protocol, unless `DUOMI_PROTOCOL` sets another.
        fields: the optional fields that it accepts, of those of the protocol; `None`: all of these.
        ranges: lowest and highest value of a field.
        batch_max: most pictures in one request.
        sizes: the only sizes that it accepts; empty: all within the limits of `sizes.SizeRule`.
        ratios: the ratios that it accepts, in a protocol with ratios; empty: those of the protocol.
        price: price of one picture in `DUOMI_CURRENCY`, `None` where unknown.
        prompt_tokens: how many tokens of a prompt it reads, 0 where unknown.
        english_only: trained on English captions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: Protocol = "siliconflow"
    fields: frozenset[OptionalField] | None = None
    ranges: dict[Ranged, Annotated[tuple[float, float], AfterValidator(_ascending)]] = {}
    batch_max: Annotated[int, Field(ge=1, le=4)] = 4
    sizes: tuple[ImageSize, ...] = ()
    side_multiple: Annotated[int, Field(ge=1, le=512)] = 1
    min_pixels: Annotated[int, Field(ge=0)] = 0
    max_pixels: Annotated[int, Field(ge=64 * 64)] = 100_000_000
    max_side: Annotated[int, Field(ge=64, le=8192)] = 8192
    max_ratio: Annotated[float, Field(ge=1, le=128)] = 128.0
    ratios: tuple[Annotated[str, Field(pattern=r"^[1-9]\d?:[1-9]\d?$")], ...] = ()
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    prompt_tokens: Annotated[int, Field(ge=0)] = 0
    english_only: bool = False

    @model_validator(mode="after")
    def _some_size_is_legal(self) -> Self:
        if None in map(self.size_rule.nearest, _TRIAL_SIZES):
            raise ValueError("no size keeps all of side_multiple, min_pixels, max_pixels, max_side and max_ratio")
        return self

    @cached_property
    def size_rule(self) -> SizeRule:
        """The sizes that the model accepts."""
        return SizeRule(
            tuple(map(Size.parse, self.sizes)),
            self.side_multiple,
            self.min_pixels,
            self.max_pixels,
            self.max_side,
            self.max_ratio,
        )


def known_profiles(settings: Settings) -> Mapping[str, Profile]:
    """All profiles by model name: the shipped ones, overridden and extended by the user's file.

    Raises:
        SettingsError: the user's file is invalid; the message names file, model and field.
    """
    path = _location(settings.home, settings.models_file)
    try:
        stat = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        if "models_file" in settings.model_fields_set:
            raise SettingsError(f"DUOMI_MODELS_FILE={settings.models_file}: there is no file {path}") from None
        return _shipped()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; check DUOMI_MODELS_FILE") from error
    return _joined(path, stat.st_mtime_ns, stat.st_size)


def profiles_fingerprint(settings: Settings) -> str:
    """Another one after each change of the files that profiles come from."""
    digest = hashlib.sha256(_shipped_text().encode())
    with contextlib.suppress(OSError):  # `known_profiles` tells of it
        digest.update(Path(_location(settings.home, settings.models_file)).read_bytes())
    return digest.hexdigest()


def profile_of(settings: Settings, model: str) -> Profile:
    """The profile of a model; an unknown model has the defaults of the chosen protocol, else of the default model's.

    Raises:
        SettingsError: as `known_profiles`.
    """
    return known_profiles(settings).get(model) or _generic(settings.protocol)


@lru_cache(maxsize=16)  # called for every request
def _location(home: Path, models_file: Path) -> str:
    return str(home / models_file.expanduser())


@cache
def _generic(protocol: Literal["auto"] | Protocol) -> Profile:
    return Profile() if protocol == "auto" else Profile(protocol=protocol)


@cache
def _shipped_text() -> str:
    return files("duomi_pipeline.duomi").joinpath("models.toml").read_text(encoding="utf-8")


@cache
def _shipped_tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_shipped_text())


@cache
def _shipped() -> Mapping[str, Profile]:
    return {name: Profile(**table) for name, table in _shipped_tables().items()}


@lru_cache(maxsize=4)
def _joined(path: str, _changed_at: int, _size: int) -> Mapping[str, Profile]:
    """The shipped profiles, overridden by those of a file; the file is read again when it changes."""
    try:
        own = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; check DUOMI_MODELS_FILE") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8: {error.reason}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f'{path} is not TOML: {error}. A model stands as ["its/name"], in quotes.') from error
    return {**_shipped(), **{name: _own_profile(path, name, table) for name, table in own.items()}}


def _own_profile(path: str, model: str, table: object) -> Profile:
    if not isinstance(table, dict):
        raise SettingsError(f'{path}: {model} is outside of a model: write ["its/name"] above its fields')
    try:
        return Profile(**{**_shipped_tables().get(model, {}), **table})
    except ValidationError as error:
        raise SettingsError(f'{path}: model "{model}": {_explained(error)}') from error


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where, what = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    if first["type"] != "extra_forbidden":
        return f"{where}={first['input']!r}: {what}" if where else what
    known = f"there is no field {where}; there are {', '.join(Profile.model_fields)}"
    return f'{known}. Write a name with dots in quotes: ["its.name"]' if isinstance(first["input"], dict) else known
