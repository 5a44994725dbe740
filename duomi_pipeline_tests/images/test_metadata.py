"""What a picture says about itself: read back whole, replaced not doubled, pixels untouched, no secret."""

import re
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.duomi import build_request
from duomi_pipeline.images import PictureInfo, read_info, with_info
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.images import SIZE, chunk, chunks, encoded, gradient, opened, pixels, with_chunk

PNG = encoded(gradient())
SECRET = "sk-very-secret"
PROMPTS = [
    "a boat", "two\nlines\r\nthree", "雨夜的城市 🌃", "bad Negative prompt: blur", "\nNegative prompt: blur\nSteps: 3", "a, b, Steps: 9",
    "Negative prompt:: twice", 'quotes " and \\ and <b>', "control \x01 and \x00 characters", "x" * 50_000,
]  # fmt: skip


def info(prompt: str = "a boat", **fields: Any) -> PictureInfo:
    body = {"model": "m", "prompt": prompt, "num_inference_steps": 20, "guidance_scale": 7.5, "seed": 5}
    given: dict[str, Any] = {
        "prompt_id": "json_a",
        "prompt_version": "v1",
        "prompt": prompt,
        "request_key": "k" * 64,
        "request": {"host_kind": "service", "body": {**body, **fields.pop("body", {})}},
        "settings_fingerprint": "f1",
        "host_kind": "service",
        "model": "m",
        "requested_size": "1080x1920",
        "received_size": "1024x1024",
        "size": "96x160",
        "seed": 5,
        "created_at": datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC),
    }
    return PictureInfo(**{**given, **fields})


def parameters(png: bytes) -> str:
    """The text under `parameters`, as Pillow reads it."""
    return str(opened(png).info["parameters"])


@pytest.mark.parametrize("prompt", PROMPTS)
def test_information_is_read_back_as_it_was_written(prompt: str) -> None:
    written = info(prompt, task_id="t-1", index=2, seed=None, body={"negative_prompt": prompt})
    assert read_info(with_info(PNG, written)) == written


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_writing_information_changes_no_pixel_and_no_other_chunk(mode: str) -> None:
    png = with_chunk(encoded(gradient(mode=mode)), chunk(b"caBX", b"a manifest") + chunk(b"tEXt", b"Comment\0hello"))
    marked = with_info(png, info())
    assert pixels(marked) == pixels(png)
    assert [found for found in chunks(marked) if found in chunks(png)] == chunks(png)
    assert opened(marked).tobytes() == opened(png).tobytes()


def test_information_written_twice_replaces_the_first(tmp_path: Path) -> None:
    twice = with_info(with_info(PNG, info("first")), info("second"))
    assert twice == with_info(PNG, info("second"))
    assert b"first" not in twice


@pytest.mark.parametrize(
    "foreign",
    [
        chunk(b"tEXt", b"parameters\0foreign"),
        chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"foreign")),
        chunk(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(b"foreign")),
        chunk(b"iTXt", b"parameters\0\0\0en\0title\0foreign"),
    ],
    ids=["tEXt", "zTXt", "compressed iTXt", "iTXt"],
)
def test_parameters_that_the_service_wrote_are_replaced_not_doubled(foreign: bytes) -> None:
    marked = with_info(with_chunk(PNG, foreign), info())
    assert parameters(marked).startswith("a boat\n")
    assert sum(data.startswith(b"parameters\0") for _, data in chunks(marked)) == 1


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_parameters_hold_the_prompt_on_one_line(prompt: str) -> None:
    lines = parameters(with_info(PNG, info(prompt, body={"negative_prompt": prompt}))).split("\n")
    assert len(lines) == 3
    assert "Negative prompt:" not in lines[0]
    assert lines[1].count("Negative prompt:") == 1
    assert lines[1].startswith("Negative prompt: ")
    assert lines[2].startswith("Steps: ")
    if prompt == "a boat":
        assert lines[:2] == ["a boat", "Negative prompt: a boat"]


def test_the_last_line_of_the_parameters_has_every_field_that_readers_need() -> None:
    marked = with_info(PNG, info(model="a, b", body={"num_inference_steps": 31, "guidance_scale": 4.0}))
    prompt, last = parameters(marked).split("\n")
    assert prompt == "a boat"
    assert re.fullmatch(
        r"Steps: 31, Sampler: [^,]+, CFG scale: 4\.0, Seed: 5, Size: 96x160, Model: [^,]+, Version: [^,]+",
        last,
    )


def test_a_model_without_steps_and_seed_still_gets_all_fields() -> None:
    body: dict[str, Any] = {"model": "gpt-image-2", "prompt": "a boat", "size": "1152x2048"}
    marked = with_info(PNG, info(model="gpt-image-2", seed=None, request={"body": body}))
    assert re.match(r"Steps: 0, Sampler: .+, CFG scale: 0, Seed: 0, Size: 96x160, ", parameters(marked).split("\n")[1])


def test_no_key_of_comfyui_is_written() -> None:
    assert {"prompt", "workflow"}.isdisjoint(opened(with_info(PNG, info())).info)


def test_no_secret_reaches_a_picture(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, api_key=SECRET, ledger_url=f"postgresql://me:{SECRET}@db/ledger")
    request = build_request(settings, "json_a", "a boat", settings.parameters)
    marked = with_info(PNG, info(request=request.content, request_key=request.key))
    assert SECRET.encode() not in marked
    assert SECRET not in str(read_info(marked))


@pytest.mark.parametrize(
    "data",
    [
        PNG,
        b"",
        b"no png",
        with_info(PNG, info())[:200],
        with_chunk(PNG, chunk(b"iTXt", b"duomi_generation\0\0\0\0\0{not json")),
        with_chunk(PNG, chunk(b"iTXt", b'duomi_generation\0\0\0\0\0{"schema_version": 2}')),
        with_chunk(PNG, chunk(b"iTXt", b"duomi_generation\0\0\0\0\0[]")),
        with_chunk(PNG, chunk(b"iTXt", b"duomi_generation\0\0\0\0\0" + b"[" * 100_000)),
        with_chunk(PNG, chunk(b"iTXt", b"duomi_generation")),
    ],
    ids=["plain", "empty", "not png", "cut off", "not json", "other schema", "list", "deep", "no text"],
)
def test_a_picture_without_usable_information_has_none(data: bytes) -> None:
    assert read_info(data) is None


def test_information_is_found_without_reading_the_pixels() -> None:
    marked = with_info(PNG, info())
    begin = marked[: marked.index(b"IDAT") - 4]
    assert len(begin) < len(marked)
    assert read_info(begin) == info()
    assert opened(marked).size == SIZE
