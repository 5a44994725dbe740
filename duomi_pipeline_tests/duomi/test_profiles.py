"""Profiles as data: what each model is asked with, what is refused before anything is sent, the user's own file."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.duomi import ImageRequest, build_request
from duomi_pipeline.duomi.profiles import known_profiles, profile_of
from duomi_pipeline.duomi.request import check_parameters
from duomi_pipeline.settings import ParameterOverrides, Settings, SettingsError

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
SD35 = "stabilityai/stable-diffusion-3-5-large"
SCHNELL = "black-forest-labs/FLUX.1-schnell"
DEV = "black-forest-labs/FLUX.1-dev"
GPT = "gpt-image-2"
SERVICE: dict[str, Any] = {"base_url": "https://duomiapi.com", "api_key": "sk"}
Own = Callable[..., Settings]


def settings(home: Path | str = "/nowhere", **overrides: Any) -> Settings:
    return Settings.load(home, **overrides)


def request(home: Path | str = "/nowhere", **overrides: Any) -> ImageRequest:
    given = settings(home, **overrides)
    return build_request(given, "json_a", "a boat", given.parameters)


def check(**overrides: Any) -> None:
    given = settings(**overrides)
    check_parameters(given, given.parameters)


@pytest.fixture
def own(tmp_path: Path) -> Own:
    """Settings of a home with this file of models."""

    def written(text: str | bytes, **overrides: Any) -> Settings:
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "models.toml").write_bytes(data)
        return settings(tmp_path, **overrides)

    return written


# --- what is shipped ---------------------------------------------------------------------------------


def test_every_model_of_the_contract_has_a_profile_and_a_request_that_can_be_sent() -> None:
    profiles = known_profiles(settings())
    assert len(profiles) == 11
    for model in profiles:
        sent = request(model=model)
        assert json.loads(json.dumps(dict(sent.body)))["model"] == model
        assert not sent.problem
    assert profiles[SDXL].prompt_tokens == 77


def test_a_model_that_nobody_described_is_asked_as_the_chosen_protocol_says() -> None:
    assert request(model="new").body.keys() == request().body.keys()
    assert request(model="new", protocol="openai").body.keys() == {"model", "prompt", "size", "n", "output_format"}
    assert request(model="new", protocol="duomi_async").body.keys() == {"model", "prompt", "size"}
    banana = request(model="new", protocol="nano_banana", image_size="1081x1921")
    assert banana.body["aspect_ratio"] == "9:16"
    assert profile_of(settings(), "new").prompt_tokens == 0


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (SDXL, {"batch_size", "seed", "num_inference_steps", "guidance_scale", "negative_prompt"}),
        (SCHNELL, {"seed"}),
        (DEV, {"batch_size", "seed", "num_inference_steps", "guidance_scale"}),
        (GPT, set()),
    ],
)
def test_a_field_that_a_model_does_not_take_is_neither_sent_nor_in_the_key(model: str, fields: set[str]) -> None:
    sent = request(model=model, negative_prompt="blur")
    assert sent.body.keys() - {"model", "prompt", "image_size", "size"} == fields
    assert sent.takes_negative_prompt == ("negative_prompt" in fields)
    changes: dict[str, Any] = {"seed": 1, "num_inference_steps": 7, "guidance_scale": 2.0, "negative_prompt": "fog"}
    for name, value in changes.items():
        changed = request(model=model, **{"negative_prompt": "blur", name: value})
        assert (changed.key != sent.key) == (name in fields), name


@pytest.mark.parametrize("protocol", ["siliconflow", "openai"])
def test_a_model_takes_no_more_in_another_protocol(protocol: str) -> None:
    sent = request(model=GPT, protocol=protocol, negative_prompt="blur")
    assert not sent.body.keys() & {"seed", "num_inference_steps", "guidance_scale", "negative_prompt"}


# --- values that a model does not take ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": SD35, "num_inference_steps": 51}, f"DUOMI_NUM_INFERENCE_STEPS=51: {SD35} takes 1 to 50"),
        ({"model": GPT, "batch_size": 2}, f"DUOMI_BATCH_SIZE=2: {GPT} makes 1 per request; set it to 1"),
        ({"model": DEV, "batch_size": 4}, "makes 1 per request"),
        ({"model": "new", "protocol": "duomi_async", "batch_size": 2}, "DUOMI_BATCH_SIZE=2: new makes 1"),
        ({"fallback_models": SD35, "num_inference_steps": 60}, f"DUOMI_FALLBACK_MODELS: DUOMI_NUM_INF.*60: {SD35}"),
    ],
)
def test_a_value_that_the_model_does_not_take_is_named_with_setting_and_range(
    given: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        check(**given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"batch_size": 4},
        {"model": SD35, "num_inference_steps": 50},
        {"model": SCHNELL, "num_inference_steps": 100},  # not sent: its range is no matter
        {"fallback_models": f"{DEV}, {GPT}"},
    ],
)
def test_a_value_within_the_range_or_not_sent_at_all_is_no_problem(given: dict[str, Any]) -> None:
    check(**given)


def test_the_chain_of_fallbacks_is_one_text_with_commas_or_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings(tmp_path).fallback_models == ()
    (tmp_path / "duomi.toml").write_text('fallback_models = ["f", "g"]\n', encoding="utf-8")
    assert settings(tmp_path).fallback_models == ("f", "g")
    monkeypatch.setenv("DUOMI_FALLBACK_MODELS", " a/b , c,")
    assert settings(tmp_path).fallback_models == ("a/b", "c")


def test_a_value_that_a_run_said_is_not_called_a_setting() -> None:
    given = settings(model=SD35)
    with pytest.raises(SettingsError, match=r"^num_inference_steps=60: "):
        check_parameters(given, ParameterOverrides(num_inference_steps=60).over(given.parameters))


# --- the user's own file ------------------------------------------------------------------------------


def test_the_users_file_changes_single_fields_and_adds_models(own: Own) -> None:
    given = own(f"""
["{SDXL}"]
price = 0.08
["my/model"]
protocol = "openai"
sizes = ["1024x1024", "576x1024"]
""")
    profiles = known_profiles(given)
    assert len(profiles) == 12
    assert (profiles[SDXL].price, profiles[SDXL].prompt_tokens) == (0.08, 77)
    assert profiles["my/model"].protocol == "openai"
    assert build_request(given, "json_a", "a boat", given.parameters).key == request().key, "a price is not asked for"
    assert request(given.home, model="my/model").body["size"] == "576x1024"


def test_the_file_of_the_docs_works_as_it_stands(own: Own) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", docs, re.DOTALL)
    profiles = known_profiles(own(blocks[0]))
    assert (len(blocks), profiles[SDXL].price, profiles["my/model"].batch_max) == (1, 0.08, 2)
    assert all(f"`{field}`" in docs for field in type(profiles[SDXL]).model_fields)


def test_the_file_is_read_again_when_it_was_changed(own: Own) -> None:
    for steps in (10, 30):
        given = own(f'["m"]\nranges = {{ num_inference_steps = [1, {steps}] }}\n', model="m")
        assert bool(build_request(given, "a", "b", given.parameters).problem) == (steps == 10)


def test_another_file_can_be_named_and_must_then_be_there(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('["m"]\nbatch_max = 2\n', encoding="utf-8")
    assert known_profiles(settings(tmp_path, models_file="mine.toml"))["m"].batch_max == 2
    with pytest.raises(SettingsError, match=r"DUOMI_MODELS_FILE=other.toml: there is no file .*other.toml"):
        known_profiles(settings(tmp_path, models_file="other.toml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('["m"]\nsteps = 3\n', 'model "m": there is no field steps; there are protocol, fields, '),
        ('["m"]\nprotocol = "grpc"\n', "model \"m\": protocol='grpc': Input should be 'siliconflow'"),
        ('["m"]\nfields = ["seed", "steps"]\n', 'model "m": fields'),
        ('["m"]\nranges = { seed = [9, 1] }\n', 'model "m": ranges.seed=.*write the lower limit first'),
        ('["m"]\nbatch_max = 9\n', 'model "m": batch_max=9: .* less than or equal to 4'),
        ('["m"]\nsizes = ["1080 by 1920"]\n', 'model "m": sizes.0=.*write it as WIDTHxHEIGHT'),
        ('["m"]\nratios = ["9/16"]\n', 'model "m": ratios.0='),
        ('["m"]\nprice = -1\n', 'model "m": price=-1'),
        ('["m"]\nprice = inf\n', 'model "m": price=inf'),
        ('["m"]\nmin_pixels = 9_000_000\nmax_side = 1024\n', 'model "m": no size keeps all of side_multiple'),
        ("[gpt-image-2.5]\nbatch_max = 1\n", r'model "gpt-image-2": .*Write a name with dots in quotes'),
        ("[my/model]\nbatch_max = 1\n", r'is not TOML: .*A model stands as \["its/name"\]'),
        ("batch_max = 1\n", "batch_max is outside of a model"),
        (b'["m"]\n# \xff\n', "is not UTF-8"),
        ('["m"]\nx = ' + "[" * 20_000, "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_model_and_field(own: Own, text: str | bytes, words: str) -> None:
    given = own(text)
    with pytest.raises(SettingsError, match=re.escape(str(given.home / "models.toml"))) as raised:
        known_profiles(given)
    assert re.search(words, str(raised.value), re.DOTALL)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "models.toml").mkdir()
    with pytest.raises(SettingsError, match=r"models.toml: Is a directory"):
        known_profiles(settings(tmp_path))


# --- prices ------------------------------------------------------------------------------------------


def test_the_users_price_wins_over_the_models_and_an_unknown_one_stays_unknown(own: Own) -> None:
    text = '["m"]\nprice = 0.5\n'
    prices = [
        request(own(text, model="m", **SERVICE).home, model="m", **SERVICE).price,
        request(own(text).home, model="m", price_per_image=0.2, **SERVICE).price,
        request(own(text).home, **SERVICE).price,
        request(own(text).home, model="m").price,  # the built-in sandbox
    ]
    assert prices == [0.5, 0.2, None, 0.0]
    assert request(own(text).home, price_per_image=0.2, batch_size=3, **SERVICE).cost == pytest.approx(0.6)


def test_nothing_of_an_unknown_price_is_asked_for_under_a_cap_on_spending(own: Own) -> None:
    priced = own('["m"]\nprice = 0.5\n', model="m", max_spend_per_run=1, **SERVICE)
    check_parameters(priced, priced.parameters)
    with pytest.raises(SettingsError, match=f"DUOMI_MAX_SPEND_PER_RUN is set, but what a picture of {SDXL} costs"):
        check_parameters(priced, ParameterOverrides(model=SDXL).over(priced.parameters))
    with pytest.raises(SettingsError, match="DUOMI_PRICE_PER_IMAGE"):
        settings("/nowhere", max_spend_per_run=1, **SERVICE)
