"""Where settings come from, which values are refused, and that secrets stay hidden."""

import traceback
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.settings import ParameterOverrides, Settings, SettingsError, Size

SECRET = "sk-very-secret"


def refusal(home: Path, **overrides: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(home, **overrides)
    return str(caught.value)


# --- sources -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "model"),
    [
        ((), "stabilityai/stable-diffusion-xl-base-1.0"),
        (("toml",), "of-toml"),
        (("toml", "dotenv"), "of-dotenv"),
        (("toml", "dotenv", "environment"), "of-environment"),
        (("toml", "dotenv", "environment", "argument"), "of-argument"),
    ],
)
def test_the_nearest_source_that_says_a_value_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: tuple[str, ...], model: str
) -> None:
    if "toml" in sources:
        (tmp_path / "duomi.toml").write_text('model = "of-toml"\nnum_inference_steps = 33\n')
    if "dotenv" in sources:
        (tmp_path / ".env").write_text("DUOMI_MODEL=of-dotenv\n")
    if "environment" in sources:
        monkeypatch.setenv("DUOMI_MODEL", "of-environment")
    settings = Settings.load(tmp_path, **({"model": "of-argument"} if "argument" in sources else {}))
    assert settings.model == model
    assert settings.num_inference_steps == (33 if "toml" in sources else 20)


def test_an_empty_variable_or_an_argument_of_none_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "duomi.toml").write_text('model = "of-toml"\nseed = 7\n')
    (tmp_path / ".env").write_text("DUOMI_MODEL=\n")
    monkeypatch.setenv("DUOMI_MODEL", "")
    settings = Settings.load(tmp_path, seed=None)
    assert (settings.model, settings.seed) == ("of-toml", 7)


def test_the_home_is_the_argument_else_the_variable_else_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, variable, current = (tmp_path / name for name in ("named", "variable", "current"))
    current.mkdir()
    monkeypatch.chdir(current)
    assert Settings.load().home == current
    monkeypatch.setenv("DUOMI_HOME", str(variable))
    assert Settings.load().home == variable
    assert Settings.load(named).home == named
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.load("~/below").home == tmp_path / "below"


def test_files_beside_the_current_folder_are_read_from_the_home_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".env").write_text("DUOMI_MODEL=stray\n")
    (elsewhere / "duomi.toml").write_text('currency = "XXX"\n')
    monkeypatch.chdir(elsewhere)
    settings = Settings.load(tmp_path)
    assert (settings.model, settings.currency) == ("stabilityai/stable-diffusion-xl-base-1.0", "CNY")


def test_relative_paths_stand_on_the_home_and_absolute_ones_stay(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path)
    assert isinstance(settings.database, Path)
    assert settings.path(settings.database) == tmp_path / "data/llm_video_batch.db"
    assert settings.path("/elsewhere/x.db") == Path("/elsewhere/x.db")


@pytest.mark.parametrize(
    ("name", "default"),
    {
        "auth_scheme": "raw",
        "protocol": "auto",
        "image_size": "1080x1920",
        "negative_prompt": "",
        "batch_size": 1,
        "num_inference_steps": 20,
        "guidance_scale": 7.5,
        "seed": 51515151,
        "prompt_dir": Path("out/prompt_json"),
        "image_dir": "out/generated_images",
        "manifest_dir": "out/manifest",
        "gallery_dir": "out/gallery",
        "log_dir": Path("logs"),
        "max_concurrency": 4,
        "delay": 0,
        "requests_per_minute": None,
        "requests_per_day": None,
        "timeout": 60,
        "task_timeout": 1800,
        "poll_interval": 4,
        "max_attempts": 5,
        "price_per_image": None,
        "max_images_per_run": None,
        "max_spend_per_run": None,
        "max_spend_per_day": None,
    }.items(),
)
def test_defaults_are_those_of_the_interface(tmp_path: Path, name: str, default: object) -> None:
    assert getattr(Settings.load(tmp_path), name) == default


# --- refused values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("AUTH_SCHEME", "basic", "'raw' or 'bearer'"),
        ("PROTOCOL", "soap", "'duomi_async'"),
        ("BASE_URL", "ftp://files", "http(s)"),
        ("BASE_URL", "https://", "http(s)"),
        ("IMAGE_SIZE", "1080", "WIDTHxHEIGHT"),
        ("IMAGE_SIZE", "63x1920", "64 to 8192"),
        ("IMAGE_SIZE", "1080x8193", "64 to 8192"),
        ("BATCH_SIZE", "5", "less than or equal to 4"),
        ("NUM_INFERENCE_STEPS", "0", "greater than or equal to 1"),
        ("NUM_INFERENCE_STEPS", "101", "less than or equal to 100"),
        ("GUIDANCE_SCALE", "20.5", "less than or equal to 20"),
        ("GUIDANCE_SCALE", "nan", "equal to"),
        ("SEED", "-1", "greater than or equal to 0"),
        ("SEED", "10000000000", "less than or equal to 9999999999"),
        ("SEED", "random", "'per-prompt'"),
        ("MAX_CONCURRENCY", "0", "greater than or equal to 1"),
        ("DELAY", "-1", "greater than or equal to 0"),
        ("TIMEOUT", "0", "greater than 0"),
        ("MAX_ATTEMPTS", "many", "integer"),
        ("PRICE_PER_IMAGE", "-0.1", "greater than or equal to 0"),
        ("PRICE_PER_IMAGE", "nan", "less than or equal to 1000000000"),
        ("MAX_SPEND_PER_DAY", "nan", "greater than or equal to 0"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(f"DUOMI_{name}", value)
    message = refusal(tmp_path)
    assert f"DUOMI_{name}='{value}'" in message
    assert allowed in message


def test_every_bad_value_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "duomi.toml").write_text("batch_size = 9\n")
    (tmp_path / ".env").write_text("DUOMI_DELAY=-2\n")
    monkeypatch.setenv("DUOMI_TIMEOUT", "soon")
    message = refusal(tmp_path, image_size="big")
    assert all(f"DUOMI_{name}=" in message for name in ("BATCH_SIZE", "DELAY", "TIMEOUT", "IMAGE_SIZE"))


@pytest.mark.parametrize(("name", "value"), [("MODEL", "  "), ("MODEL", "m" * 201), ("NEGATIVE_PROMPT", "n" * 10_001)])
def test_a_value_that_no_request_could_carry_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"DUOMI_{name}", value)
    assert f"DUOMI_{name}=" in refusal(tmp_path)


def test_an_unknown_name_in_duomi_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "duomi.toml").write_text('modle = "x"\nmodel = "y"\nzoom = 2\n')
    message = refusal(tmp_path)
    assert "duomi.toml" in message
    assert message.endswith("no such setting: modle (did you mean model?), zoom")


def test_a_misspelt_cap_in_the_environment_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUOMI_MAX_IMAGE_PER_RUN", "10")
    assert refusal(tmp_path) == (
        "the environment: no such setting: DUOMI_MAX_IMAGE_PER_RUN (did you mean DUOMI_MAX_IMAGES_PER_RUN?)"
    )


def test_a_misspelt_setting_in_the_env_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DUOMI_MODLE=x\nMODLE=of another program\n")
    assert refusal(tmp_path).endswith(".env: no such setting: DUOMI_MODLE (did you mean DUOMI_MODEL?)")


@pytest.mark.parametrize("name", ["DUOMI_HOME", "DUOMI_SERVICE_HOST", "DUOMI_PORT_80_TCP", "DUOMI_API_SERVICE_PORT"])
def test_what_kubernetes_says_of_a_service_called_duomi_is_no_misspelt_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "x")
    Settings.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("duomi.toml", b"model = = 1\n"),
        ("duomi.toml", b'model = "\xff"\n'),
        (".env", b"DUOMI_MODEL=\xff\n"),
    ],
)
def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path, file: str, content: bytes) -> None:
    (tmp_path / file).write_bytes(content)
    assert str(tmp_path / file) in refusal(tmp_path)


# --- secrets -----------------------------------------------------------------------------------------


def test_secrets_are_hidden_wherever_settings_are_printed(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, api_key=SECRET, ledger_url=f"postgresql://me:{SECRET}@db/ledger")
    shown = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert SECRET not in shown
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == SECRET


@pytest.mark.parametrize(
    "toml",
    [
        f'api_key = ["{SECRET}"]',
        f'ledger_url = {{url = "{SECRET}"}}',
        f'api_key = "{SECRET}"\nbatch_size = 9',
        f'api_key = "{SECRET}"\napi_kye = "{SECRET}"',
        f'api_key = "{SECRET}',
        f'api_key = "{SECRET}"\napi_key = "{SECRET}"',
    ],
)
def test_no_error_shows_a_secret(tmp_path: Path, toml: str) -> None:
    (tmp_path / "duomi.toml").write_text(toml)
    with pytest.raises(SettingsError) as caught:
        Settings.load(tmp_path)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


# --- meaning -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "host_kind"),
    [
        ({}, "sandbox"),
        ({"api_key": SECRET}, "service"),
        ({"base_url": "https://relay.example"}, "service"),
        ({"base_url": "sandbox", "api_key": SECRET}, "sandbox"),
        ({"base_url": "http://127.0.0.1:8000"}, "local"),
        ({"base_url": "http://[::1]:8000/v1"}, "local"),
        ({"base_url": "http://localhost"}, "local"),
    ],
)
def test_the_host_kind_follows_from_key_and_address(tmp_path: Path, given: dict[str, str], host_kind: str) -> None:
    settings = Settings.load(tmp_path, **given)
    assert settings.host_kind == host_kind
    assert settings.uses_sandbox == (host_kind == "sandbox")


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
def test_the_address_may_end_with_or_without_v1_and_slash(tmp_path: Path, ending: str) -> None:
    settings = Settings.load(tmp_path, base_url=f"https://relay.example/api{ending}")
    assert settings.service_url == "https://relay.example/api"


def test_with_a_key_alone_the_service_is_duomis(tmp_path: Path) -> None:
    assert Settings.load(tmp_path, api_key=SECRET).service_url == "https://duomiapi.com"


@pytest.mark.parametrize("written", ["1080x1920", " 1080 X 1920 ", "1080×1920"])
def test_sizes_are_brought_to_one_form(tmp_path: Path, written: str) -> None:
    assert Settings.load(tmp_path, image_size=written).image_size == str(Size(1080, 1920))


def test_the_parameters_of_the_settings_have_a_value_in_every_field(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, seed="per-prompt", negative_prompt="blur")
    said = settings.parameters.model_dump()
    assert set(said) == set(ParameterOverrides.model_fields)
    assert (said["seed"], said["negative_prompt"]) == ("per-prompt", "blur")


def test_parameters_win_over_those_below_only_where_they_say_something() -> None:
    below = ParameterOverrides(model="below", seed=1, negative_prompt="blur")
    above = ParameterOverrides(model="above", negative_prompt="")
    assert above.over(below) == ParameterOverrides(model="above", seed=1, negative_prompt="")
