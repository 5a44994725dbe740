"""All settings. Order: environment, `.env`, `duomi.toml` (both in the home folder), default."""

import hashlib
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from duomi_pipeline.settings.parameters import ImageParameters, ModelName
from duomi_pipeline.settings.problems import SettingsError, check_names, explain, ours

SANDBOX = "sandbox"
_MAX_DAYS = 36_500  # a hundred years: for ever
SECRET_FIELDS = frozenset({"api_key", "ledger_url", "webhook_url"})
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def _split_at_commas(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _path_or_address(value: object) -> object:
    """An address may hold a password: it is a secret."""
    if not isinstance(value, str):
        return value
    return SecretStr(value.strip()) if "://" in value else Path(value.strip())


def _path_or_url(value: object) -> object:
    """An address stays a text: as a path it would lose a slash."""
    return Path(value.strip()) if isinstance(value, str) and "://" not in value else value


HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{0,60}$")]
HeaderText = Annotated[str, Field(pattern=r"^[ -~]{0,300}$")]
# In the environment a text with commas; in a file a list. NoDecode: the text is no JSON.
ModelNames = Annotated[tuple[ModelName, ...], NoDecode, BeforeValidator(_split_at_commas)]


class Settings(BaseSettings, ImageParameters):
    """All settings; a field has the name of its environment variable without `DUOMI_`. Use `Settings.load`."""

    model_config = SettingsConfigDict(
        env_prefix="DUOMI_", frozen=True, extra="ignore", env_ignore_empty=True, str_strip_whitespace=True
    )

    home: Path = Path()
    api_key: SecretStr | None = Field(None, description="Key of the service, a secret; without it the sandbox answers.")
    base_url: str = Field(
        "",
        description="Address, with or without `/v1`, or `sandbox`; empty: duomiapi.com with a key, else sandbox.",
    )
    auth_scheme: Literal["raw", "bearer"] = Field("raw", description="How the key is sent: `raw`, or `bearer`.")
    protocol: Literal["auto", "siliconflow", "openai", "duomi_async", "nano_banana"] = Field(
        "auto", description="`auto`: by model; or `siliconflow`, `openai`, `duomi_async`, `nano_banana`."
    )

    models_file: Path = Field(
        Path("models.toml"), description="Your own model profiles, over the shipped ones: [models](models.md)."
    )
    fallback_models: ModelNames = Field(
        (), description="Models that stand in, in this order, with commas, for one that is disabled or does not exist."
    )

    database: Annotated[Path | SecretStr, BeforeValidator(_path_or_address)] = Field(
        Path("data/llm_video_batch.db"),
        description="SQLite file, or a SQLAlchemy URL of PostgreSQL or MySQL, a secret. Opened read-only; a file is "
        "missed only where it is named here, or without JSON files.",
    )
    database_names: Literal["id", "descriptive"] = Field(
        "id", description="File names of table rows: `id`: `db_12_…`; `descriptive`: `db_{descriptive_name}_…`."
    )
    prompt_dir: Annotated[Path | str, BeforeValidator(_path_or_url)] = Field(
        Path("out/prompt_json"), description="Folder of JSON prompts: a path or an fsspec URL."
    )
    overrides_file: Path = Field(
        Path("out/overrides.json"), description="Parameters by prompt id, such as seeds of rerolled pictures."
    )
    clean_prompts: bool = Field(
        False, description="Send prompts without what is not part of the picture: [prompt lint](prompt_care.md)."
    )
    image_dir: str = Field("out/generated_images", description="Where pictures are saved: a path or an fsspec URL.")
    manifest_dir: str = Field(
        "out/manifest", description="Place of the [manifest](manifest.md): a path or an fsspec URL."
    )
    gallery_dir: str = Field("out/gallery", description="Place of the [gallery](gallery.md): a path or an fsspec URL.")
    log_dir: Path = Field(
        Path("logs"),
        description="Folder of `duomi_image_generation.log` and of each run's results; see *Logs and messages*.",
    )
    keep_runs_days: int = Field(
        90, ge=0, le=_MAX_DAYS, description="Days after which `duomi clean` removes Dagster's finished runs."
    )
    keep_logs_days: int = Field(
        365, ge=0, le=_MAX_DAYS, description="Days after which `duomi clean` removes results files and old log files."
    )
    ledger_url: SecretStr = Field(
        SecretStr("sqlite:///out/ledger.db"), description="SQLAlchemy URL of the ledger, a secret."
    )

    run_size: int = Field(
        500, ge=1, description="Prompts of one run of Dagster: each run costs seconds, and a stop ends all of its run."
    )
    image_runs: int | None = Field(
        None, ge=1, le=256, description="Image runs at a time; empty: 1, or as Dagster's UI says. More need PostgreSQL."
    )
    max_concurrency: int = Field(4, ge=1, le=256, description="Requests in flight, 1 to 256.")
    delay: float = Field(0.0, ge=0, description="Seconds between two starts of requests.")
    requests_per_minute: int | None = Field(None, ge=1, description="Over all runs on a ledger.")
    requests_per_day: int | None = Field(None, ge=1, description="Over all runs on a ledger; a day is a day of UTC.")
    requests_in_flight: int | None = Field(
        None, ge=1, description="Requests without an answer yet, over all runs on a ledger."
    )
    timeout: float = Field(
        60.0, gt=0, description="Seconds of silence in one HTTP call; its whole answer may take ten times that."
    )
    task_timeout: float = Field(1800.0, gt=0, description="Seconds for one asynchronous task.")
    poll_interval: float = Field(4.0, gt=0, description="Seconds before the first poll, then growing.")
    max_attempts: int = Field(5, ge=1, description="Tries per prompt and run.")
    ambiguous_retries: int = Field(
        1,
        ge=0,
        description="Repeats of a request whose answer was lost, over all runs, until you say more; 0: at most once.",
    )
    download_patience: float = Field(
        180.0, ge=0, description="Seconds for which a busy host of a paid picture is asked again within a run."
    )
    idempotency_header: HeaderName = Field(
        "",
        description="Header of an idempotency key, such as `Idempotency-Key`: a lost answer is asked for under it.",
    )
    user_agent: HeaderText = Field("", description="For services behind a firewall that dislikes that of `requests`.")

    price_per_image: float | None = Field(None, ge=0, le=1e9, description="What a picture costs, for reports and caps.")
    currency: str = Field("CNY", min_length=1, max_length=12, description="What prices are in.")
    max_images_per_run: int | None = Field(None, ge=0, description="Cap, checked before each request.")
    max_spend_per_run: float | None = Field(None, ge=0, description="Cap, checked before each request; needs a price.")
    max_spend_per_day: float | None = Field(
        None, ge=0, description="Cap, checked before each request; needs a price. A day is a day of UTC."
    )
    warn_spend_factor: float = Field(
        3.0, ge=0, description="Warn before a run that costs more than so many times the usual one; 0: never."
    )
    warn_spend_per_run: float | None = Field(
        None, ge=0, description="Warn before a run that costs more; needs a price. Nothing is stopped."
    )

    webhook_url: SecretStr | None = Field(
        None, description="Where the sensor `run_failures` posts, such as Slack's incoming webhook; a secret."
    )
    webhook_chat: Literal["auto", "slack", "dingtalk", "feishu", "wecom"] = Field(
        "auto", description="Whose messages: `auto`: by the address; or `slack`, `dingtalk`, `feishu`, `wecom`."
    )

    @field_validator("api_key", "webhook_url")
    @classmethod
    def _blank_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        stripped = value.get_secret_value().strip() if value else ""
        return SecretStr(stripped) if stripped else None

    @field_validator("base_url")
    @classmethod
    def _base_url_is_usable(cls, value: str) -> str:
        url = value.strip().rstrip("/").removesuffix("/v1")
        if re.search(r"/(images/generations|tasks|api/gemini)(/|\?|$)", url):
            raise ValueError("write the service's address alone, such as https://duomiapi.com: the path is added to it")
        if url not in ("", SANDBOX) and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("write an http(s) address such as https://duomiapi.com, or the word sandbox")
        return url

    @field_validator("webhook_url")
    @classmethod
    def _webhook_is_an_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value and urlsplit(value.get_secret_value()).scheme not in ("http", "https"):
            raise ValueError("write an http(s) address, such as the one that Slack gives for an incoming webhook")
        return value

    @model_validator(mode="after")
    def _spend_caps_need_a_price(self) -> Self:
        caps = [name for name in ("max_spend_per_run", "max_spend_per_day") if getattr(self, name) is not None]
        own_prices = self.path(self.models_file).is_file()  # may have prices: `build_request` checks them
        if caps and self.price_per_image is None and not own_prices:
            raise ValueError(
                f"DUOMI_{caps[0].upper()} is set, but DUOMI_PRICE_PER_IMAGE is not: set what a picture costs"
            )
        return self

    @classmethod
    def load(cls, home: Path | str | None = None, **overrides: Any) -> "Settings":
        """Read the settings of a home folder (default: `DUOMI_HOME`, else the current folder).

        Raises:
            SettingsError: a value is invalid; the message names each such setting, its value and what is allowed.
                Or file names are not read as UTF-8.
        """
        if (encoding := sys.getfilesystemencoding()) != "utf-8":  # names on record would not be found, and bought again
            raise SettingsError(
                f"File names are read as {encoding} here: set PYTHONUTF8=1, or a locale such as C.UTF-8."
            )
        root = Path(home or os.environ.get("DUOMI_HOME") or ".").expanduser().resolve()
        try:
            return cls(home=root, **{name: value for name, value in overrides.items() if value is not None})
        except ValidationError as error:
            raise SettingsError(explain(error, SECRET_FIELDS)) from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{root / 'duomi.toml'} is not TOML: {error}") from None
        except UnicodeDecodeError as error:
            raise SettingsError(f"{root / '.env'} or {root / 'duomi.toml'} is not UTF-8: {error.reason}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before `.env` before `duomi.toml`, the last two from the home folder."""
        home = init_settings()["home"]
        dotenv = DotEnvSettingsSource(settings_cls, env_file=home / ".env")
        toml = TomlConfigSettingsSource(settings_cls, home / "duomi.toml")
        check_names(toml(), cls.model_fields, str(home / "duomi.toml"))
        variables = [f"DUOMI_{name.upper()}" for name in cls.model_fields]
        check_names(ours(dotenv.env_vars), variables, str(home / ".env"))
        check_names(ours(os.environ), variables, "the environment")
        return init_settings, env_settings, dotenv, toml

    @property
    def parameters(self) -> ImageParameters:
        """The parameters where neither run nor prompt sets others."""
        return ImageParameters(**{name: getattr(self, name) for name in ImageParameters.model_fields})

    @property
    def price(self) -> float | None:
        """Price of one picture, `None` where unknown; 0 in the sandbox."""
        return 0.0 if self.uses_sandbox else self.price_per_image

    @property
    def uses_sandbox(self) -> bool:
        """Whether the built-in sandbox is used instead of the service."""
        return self.base_url == SANDBOX or not (self.base_url or self.api_key)

    @property
    def service_url(self) -> str:
        """Address of the service, without `/v1`; not used with the sandbox."""
        return self.base_url or "https://duomiapi.com"

    @property
    def shown_service(self) -> str:
        """Where requests go, in words: without a user, password or query that the address may hold."""
        if self.uses_sandbox:
            return "the built-in sandbox (free)"
        parts = urlsplit(self.service_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

    @property
    def service_identity(self) -> str:
        """Identifies the service and the account: the origin of the service and a short hash of the key."""
        if self.uses_sandbox:
            return SANDBOX
        parts = urlsplit(self.service_url)
        key = self.api_key.get_secret_value() if self.api_key else ""
        mark = hashlib.sha256(f"duomi {key}".encode()).hexdigest()[:8]
        host = parts.netloc.rpartition("@")[2].lower()
        return f"{parts.scheme}://{host} {mark}"

    @property
    def host_kind(self) -> str:
        """`sandbox`, `local` (a server on this machine) or `service`; pictures of one kind never count for another."""
        if self.uses_sandbox:
            return SANDBOX
        return "local" if urlsplit(self.service_url).hostname in _LOOPBACK else "service"

    def path(self, path: Path | str) -> Path:
        """A path as an absolute path; relative ones are relative to the home folder."""
        return self.home / Path(path).expanduser()
