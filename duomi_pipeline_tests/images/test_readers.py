"""Pictures of a real run, read back by tools that are not ours: exiftool, sd-parsers, Pillow. Pixels as they were sent."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image
from sd_parsers import ParserManager

from duomi_pipeline.images.metadata import PictureInfo, read_info, with_info
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.engine.home import SIZE, Home
from duomi_pipeline_tests.images.harness import chunk, chunks, encoded, gradient, opened, pixels, with_chunk

NEGATIVE = "blur, text\nSteps: 3, Seed: 4"
PROMPTS = {
    "plain": "a boat on a lake",
    "lines": "  first line\nsecond line\r\n\tthird line  ",
    "quotes": "a \"quoted\" 'word' \\ back & <b>bold</b> &amp; ]]> %s $HOME {x}",
    "emoji": "雨夜的城市 🌃 👩‍👩‍👧 e\u0301",
    "rtl": "\u202eevil\u202c سفينة في البحر שלום",
    "negative": "a boat\nNegative prompt: blur\nSteps: 9, Sampler: DDIM, CFG scale: 1, Seed: 1",
    "steps": "Steps: 9, Sampler: DDIM, CFG scale: 1, Seed: 1, Size: 1x1, Model: x",
    "json": '{"prompt": "a boat", "Hashes": {"model": "x"}}, Hashes: {"a": "b"}',
    "control": "bell \x07 and escape \x1b[31m and nothing \x00",
    "long": "one of many words, " * 2000,
}
needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not installed (Debian: libimage-exiftool-perl)"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose hostile prompts were all brought to pictures, over HTTP."""
    with SandboxServer() as sandbox, closing(Home(tmp_path_factory.mktemp("readers"), sandbox)) as opened_home:
        for name, text in PROMPTS.items():
            opened_home.write(name, text, negative_prompt=NEGATIVE)
        opened_home.run()
        yield opened_home


@pytest.fixture(scope="module")
def files(home: Home) -> dict[str, Path]:
    """The pictures by the name of their prompt."""
    found = {info.prompt_id.removeprefix("json_"): file for file in home.files() if (info := _info(file))}
    assert set(found) == set(PROMPTS)
    return found


@pytest.fixture(scope="module")
def tags(files: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """What exiftool reads, by the name of the prompt."""
    command = ["exiftool", "-j", "-G1", "-a", "-validate", "-all", *map(str, files.values())]
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=True)
    return dict(zip(files, json.loads(run.stdout), strict=True))


def _info(file: Path) -> PictureInfo:
    info = read_info(file.read_bytes())
    assert info is not None, file
    return info


def shown(text: str) -> str:
    """A prompt on one line, as image tools are given it."""
    for dangerous in ("\x00", "\x07", "\x1b"):
        text = text.replace(dangerous, " ")
    text = " ".join(text.split()).replace("Negative prompt:", "Negative prompt")
    return "Steps" + text.removeprefix("Steps:") if text.startswith("Steps:") else text


@pytest.mark.parametrize("name", PROMPTS)
def test_the_pixels_are_those_that_the_service_sent(home: Home, files: dict[str, Path], name: str) -> None:
    body = _info(files[name]).request["body"]
    assert body["prompt"] == PROMPTS[name]
    answer = requests.post(f"{home.sandbox.url}/v1/images/generations", json=body, timeout=5)
    sent = requests.get(answer.json()["images"][0]["url"], timeout=5).content
    stored = files[name].read_bytes()
    assert pixels(stored) == pixels(sent)
    assert [found for found in chunks(stored) if found in chunks(sent)] == chunks(sent)
    assert opened(stored).tobytes() == opened(sent).tobytes()


@needs_exiftool
@pytest.mark.parametrize("name", PROMPTS)
def test_exiftool_reads_the_exact_prompt_and_the_settings(tags: dict[str, dict[str, Any]], name: str) -> None:
    found = tags[name]
    printable = "".join(c if c in "\t\n\r" or c >= " " else "\ufffd" for c in PROMPTS[name])
    assert found["XMP-dc:Description"] == printable
    ours = json.loads(found["PNG:Duomi_generation"])
    assert (ours["prompt"], ours["request"]["body"]["negative_prompt"]) == (PROMPTS[name], NEGATIVE)
    prompt, negative, settings = found["PNG:Parameters"].split("\n")
    assert (prompt, negative) == (shown(PROMPTS[name]), f"Negative prompt: {shown(NEGATIVE)}")
    assert settings.startswith("Steps: 20, Sampler: unknown, CFG scale: 7.5, Seed: 51515151, Size: 72x128, ")


@needs_exiftool
@pytest.mark.parametrize("name", PROMPTS)
def test_exiftool_finds_the_file_valid_and_reads_its_disclosure(tags: dict[str, dict[str, Any]], name: str) -> None:
    found = tags[name]
    assert found["ExifTool:Validate"] == "OK"
    assert "ExifTool:Warning" not in found
    assert found["XMP-iptcExt:DigitalSourceType"].endswith("/algorithmicMedia"), "a card of the sandbox"


@needs_exiftool
def test_exiftool_reads_both_disclosures_of_a_generated_picture(files: dict[str, Path], tmp_path: Path) -> None:
    real = _info(files["lines"]).model_copy(update={"host_kind": "service"})
    (tmp_path / "real.png").write_bytes(with_info(encoded(gradient()), real))
    command = ["exiftool", "-j", "-G1", "-XMP:all", str(tmp_path / "real.png")]
    found = json.loads(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)[0]
    assert found["XMP-iptcExt:DigitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert (found["XMP-iptcExt:AISystemUsed"], found["XMP-iptcExt:AIPromptInformation"]) == (real.model, real.prompt)
    assert json.loads(found["XMP-TC260:Aigc"])["Label"] == "1"


@pytest.mark.parametrize("name", PROMPTS)
def test_an_independent_package_reads_prompts_settings_and_model(files: dict[str, Path], name: str) -> None:
    found = ParserManager().parse(files[name])
    assert found is not None
    (sampler,) = found.samplers
    assert [prompt.value for prompt in found.prompts] == [shown(PROMPTS[name])]
    assert [prompt.value for prompt in found.negative_prompts] == [shown(NEGATIVE)]
    assert sampler.parameters == {"steps": "20", "cfg_scale": "7.5", "seed": "51515151"}
    assert sampler.model is not None
    assert sampler.model.name == "stabilityai/stable-diffusion-xl-base-1.0"
    assert found.metadata == {"Size": SIZE, "Version": "Duomi Pipeline"}


def test_the_package_still_finds_our_settings_beside_a_workflow_of_the_service(
    files: dict[str, Path], tmp_path: Path
) -> None:
    theirs = chunk(b"tEXt", b'prompt\0{"1": {"class_type": "KSampler", "inputs": {}}}') + chunk(
        b"tEXt", b"workflow\0{}"
    )
    (tmp_path / "both.png").write_bytes(with_chunk(files["plain"].read_bytes(), theirs))
    found = ParserManager().parse(tmp_path / "both.png")
    assert found is not None
    assert [prompt.value for prompt in found.prompts] == [PROMPTS["plain"]]


@pytest.mark.parametrize("name", PROMPTS)
def test_pillow_reads_all_texts_without_decoding_the_pixels(files: dict[str, Path], name: str) -> None:
    with Image.open(files[name]) as picture:
        assert json.loads(picture.info["duomi_generation"])["prompt"] == PROMPTS[name]
        assert picture.info["parameters"].split("\n")[0] == shown(PROMPTS[name])
        assert picture.info["Comment"] == "SANDBOX: drawn locally, not by a model"
        assert {"prompt", "workflow"}.isdisjoint(picture.info)
