"""What is sent for a prompt, and the key by which a request is recognised and never bought twice."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from duomi_pipeline.duomi import ImageRequest, build_request
from duomi_pipeline.duomi.request import derived_seed, settings_fingerprint
from duomi_pipeline.settings import ParameterOverrides, Settings, Size

SECRET = "sk-very-secret"
PROTOCOLS = ("siliconflow", "openai", "duomi_async", "nano_banana")
CHANGES: dict[str, object] = {
    "negative_prompt": "blur",
    "batch_size": 2,
    "num_inference_steps": 31,
    "guidance_scale": 3.0,
    "seed": 1,
}
TAKEN = {"siliconflow": set(CHANGES), "openai": {"batch_size"}, "duomi_async": set(), "nano_banana": set()}


def settings(**overrides: Any) -> Settings:
    return Settings.load("/nowhere", **overrides)


def request(prompt_id: str = "json_a", text: str = "a boat", **overrides: Any) -> ImageRequest:
    given = settings(**overrides)
    return build_request(given, prompt_id, text, given.parameters)


def fingerprint(**overrides: Any) -> str:
    given = settings(**overrides)
    return settings_fingerprint(given, given.parameters)


# --- fields ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "fields"),
    {
        "siliconflow": {"image_size": "1080x1920", "batch_size": 2, "seed": 9, "num_inference_steps": 20,
                        "guidance_scale": 7.5, "negative_prompt": "blur"},
        "openai": {"size": "1080x1920", "n": 2, "output_format": "png"},
        "duomi_async": {"size": "1080x1920"},
        "nano_banana": {"aspect_ratio": "9:16", "image_size": "2K"},
    }.items(),
)  # fmt: skip
def test_exactly_the_fields_of_the_protocol_are_sent(protocol: str, fields: dict[str, object]) -> None:
    sent = request(protocol=protocol, model="m", seed=9, batch_size=2, negative_prompt="blur")
    assert sent.protocol == protocol
    assert sent.body == {"model": "m", "prompt": "a boat", **fields}
    assert (sent.model, sent.prompt, sent.seed) == ("m", "a boat", fields.get("seed"))
    assert sent.pictures == (2 if "n" in fields or "batch_size" in fields else 1)


def test_an_empty_negative_prompt_is_not_sent() -> None:
    assert "negative_prompt" not in request(protocol="siliconflow").body


@pytest.mark.parametrize("field", CHANGES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_field_is_in_key_and_fingerprint_only_if_the_protocol_takes_it(protocol: str, field: str) -> None:
    changed: dict[str, Any] = {"protocol": protocol, field: CHANGES[field]}
    assert (request(**changed).key != request(protocol=protocol).key) == (field in TAKEN[protocol])
    assert (fingerprint(**changed) != fingerprint(protocol=protocol)) == (field in TAKEN[protocol])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_model_and_delivery_size_are_in_key_and_fingerprint(protocol: str) -> None:
    for change in ({"model": "other"}, {"image_size": "720x1280"}):
        assert request(protocol=protocol, **change).key != request(protocol=protocol).key
        assert fingerprint(protocol=protocol, **change) != fingerprint(protocol=protocol)


@pytest.mark.parametrize(
    ("model", "protocol"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", "siliconflow"),
        ("black-forest-labs/FLUX.1-schnell", "siliconflow"),
        ("gpt-image-2", "duomi_async"),
        ("gemini-3-pro-image-preview", "nano_banana"),
        ("a-model-of-tomorrow", "siliconflow"),
    ],
)
def test_the_model_decides_the_protocol_unless_it_is_set(model: str, protocol: str) -> None:
    assert request(model=model).protocol == protocol
    assert request(model=model, protocol="openai").protocol == "openai"


def test_parameters_win_over_the_settings() -> None:
    given = settings(model="of-settings")
    sent = build_request(
        given, "json_a", "a boat", ParameterOverrides(model="own", image_size="64x64").over(given.parameters)
    )
    assert (sent.model, sent.body["image_size"], sent.delivery_size) == ("own", "64x64", Size(64, 64))


# --- key ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({}, "178894a3cc491d9479889be41b3a125831f9e58a7e3ff948906cfbee5aaacfba"),
        ({"api_key": SECRET}, "9f23f98e9e30a7a9f154da38d1d2b1b5681a647f624b1db9962949d5cda71998"),
        ({"model": "gpt-image-2"}, "cd4ace71a69824b1c2e4b988947db4baaf17275fb0e19a5ec66e5affe900427d"),
        ({"model": "gemini-3-pro-image-preview"}, "16a3ad76a8d4cdb87cdcfa18f2c6f18d24a7573663f011b7cd85196efa28c6eb"),
        ({"model": "black-forest-labs/FLUX.1-dev"}, "3db681bdd4a96060d25fd37ac5984c1471900ee2ca5e9b8f2f271cbafe112f7b"),
        ({"model": "m", "protocol": "openai"}, "5fab85f2eb81842cb80f96248d0b9321808262253b0206f5aadddf41629733c6"),
    ],
)
def test_the_keys_of_pictures_that_were_paid_stay_as_they_were(given: dict[str, Any], key: str) -> None:
    assert request(**given).key == key


def test_two_prompts_with_the_same_request_share_a_key() -> None:
    assert request("json_a").key == request("db_7").key
    assert request("json_a").key != request("json_a", "a ship").key


@pytest.mark.parametrize(
    "change",
    [{"delay": 3}, {"max_concurrency": 9}, {"timeout": 5}, {"api_key": "other"}, {"auth_scheme": "bearer"}],
)
def test_how_a_request_is_sent_is_not_in_the_key(change: dict[str, Any]) -> None:
    service: dict[str, Any] = {"api_key": SECRET}
    assert request(**{**service, **change}).key == request(**service).key
    assert fingerprint(**{**service, **change}) == fingerprint(**service)


def test_pictures_of_sandbox_local_server_and_service_have_different_keys() -> None:
    hosts: list[dict[str, str]] = [{}, {"base_url": "http://localhost:1"}, {"api_key": SECRET}]
    assert len({request(**host).key for host in hosts}) == 3
    assert len({fingerprint(**host) for host in hosts}) == 3


def test_the_canonical_form_is_the_content_and_holds_no_secret() -> None:
    sent = request(text='雨 "\n', api_key=SECRET)
    assert json.loads(sent.canonical) == sent.content
    assert SECRET not in f"{sent.canonical}{sent!r}"


def test_keys_are_the_same_in_every_process() -> None:
    program = (
        "from duomi_pipeline_tests.duomi.test_request import *\n"
        "key = request(text='雨', seed='per-prompt', negative_prompt='blur').key\n"
        "print(key, fingerprint(), derived_seed('json_a'))"
    )
    here = (
        request(text="雨", seed="per-prompt", negative_prompt="blur").key,
        fingerprint(),
        derived_seed("json_a"),
    )
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert run.stdout.split() == [str(part) for part in here]


def test_cleaning_is_in_the_fingerprint_only_when_it_is_on() -> None:
    assert fingerprint(clean_prompts=False) == fingerprint() == "1b8434e14f8294b2", "as before there was cleaning"
    assert fingerprint(clean_prompts=True) != fingerprint()


def test_the_text_of_a_request_is_not_cleaned_here() -> None:
    assert request(text="**Prompt:** a boat", clean_prompts=True).prompt == "**Prompt:** a boat"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_knows_whether_a_negative_prompt_can_be_sent(protocol: str) -> None:
    sent = request(protocol=protocol, negative_prompt="blur")
    assert sent.takes_negative_prompt == ("negative_prompt" in sent.body)


# --- seeds -------------------------------------------------------------------------------------------


def test_per_prompt_seeds_differ_by_prompt_and_stay_in_range() -> None:
    seeds = [request(f"db_{number}", seed="per-prompt").seed for number in range(200)]
    assert len(set(seeds)) == 200
    assert all(isinstance(seed, int) and 0 <= seed <= 9_999_999_999 for seed in seeds)
    assert seeds[7] == derived_seed("db_7") == request("db_7", "another text", seed="per-prompt").seed


def test_one_fingerprint_stands_for_all_per_prompt_seeds() -> None:
    assert fingerprint(seed="per-prompt") == fingerprint(seed="per-prompt")
    assert fingerprint(seed="per-prompt") != fingerprint()


@pytest.mark.parametrize("model", ["gpt-image-2", "gemini-2.5-flash-image"])
def test_per_prompt_seeds_mean_nothing_to_a_model_without_seeds(model: str) -> None:
    assert request(model=model, seed="per-prompt").key == request(model=model).key
    assert fingerprint(model=model, seed="per-prompt") == fingerprint(model=model)


# --- sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delivery", "asked"),
    [
        ("1080x1920", "1152x2048"),
        ("720x1280", "720x1280"),
        ("864x1536", "864x1536"),
        ("1008x1792", "1008x1792"),
        ("1440x2560", "1440x2560"),
        ("2160x3840", "2160x3840"),
        ("4320x7680", "2160x3840"),
        ("540x960", "720x1280"),
        ("1920x1080", "2048x1152"),
        ("1000x1000", "1008x1008"),
        ("64x64", "816x816"),
        ("1081x1921", "1088x1936"),
    ],
)
def test_gpt_image_2_is_asked_for_the_nearest_size_it_takes(delivery: str, asked: str) -> None:
    sent = request(model="gpt-image-2", image_size=delivery)
    assert (sent.body["size"], str(sent.asked_size), str(sent.delivery_size)) == (asked, asked, delivery)


@pytest.mark.parametrize(
    "delivery",
    [
        "1080x1920",
        "1081x1921",
        "512x513",
        "64x65",
        "3001x3003",
        "8192x8191",
        "64x8192",
        "8192x64",
        "1179x2556",
    ],
)
def test_gpt_image_2_is_never_asked_for_a_size_it_refuses(delivery: str) -> None:
    width, height = request(model="gpt-image-2", image_size=delivery).asked_size
    assert (width % 16, height % 16) == (0, 0)
    assert max(width, height) <= 3840
    assert 655_360 <= width * height <= 8_294_400
    assert max(width, height) <= 3 * min(width, height)


@pytest.mark.parametrize("model", ["stabilityai/stable-diffusion-xl-base-1.0", "a-model-of-tomorrow"])
def test_other_models_are_asked_for_the_delivery_size(model: str) -> None:
    assert request(model=model, image_size="1081x1921").asked_size == Size(1081, 1921)


@pytest.mark.parametrize(
    ("delivery", "ratio", "resolution"),
    [
        ("576x1024", "9:16", "1K"),
        ("1080x1920", "9:16", "2K"),
        ("2160x3840", "9:16", "4K"),
        ("1024x1024", "1:1", "1K"),
        ("1081x1921", "9:16", "2K"),
        ("1179x2556", "9:16", "4K"),
        ("2100x900", "21:9", "4K"),
    ],
)
def test_nano_banana_is_asked_in_ratio_and_resolution(delivery: str, ratio: str, resolution: str) -> None:
    body = request(model="gemini-3-pro-image-preview", image_size=delivery).body
    assert (body["aspect_ratio"], body["image_size"]) == (ratio, resolution)
