"""`duomi inspect`: what a picture says, ours or not; bad files are named and stop nothing; terminals stay unharmed."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.engine import State
from duomi_pipeline.images.metadata import read_info
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, Home
from duomi_pipeline_tests.images.harness import chunk, encoded, gradient, with_chunk

PNG = encoded(gradient())
# What a terminal obeys: colours, a title, other ends of lines, and all that turns the reading direction.
OBEYED = "\t\x1b\x07\x7f\x9b\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HOSTILE = f"red \x1b[2J\x1b]0;title\x07 \x9b31m \u202egnp.exe\u2066\x7f {OBEYED} end"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of two pictures that the engine bought: `lighthouse` as a task, `boat` at once."""
    path = tmp_path_factory.mktemp("home")
    with SandboxServer(faults=Faults(picture="flat")) as sandbox, closing(Home(path, sandbox)) as home:
        home.write("lighthouse", "a lighthouse\nat dawn, \u2066竖幅\u2069", negative_prompt="blur")
        home.run(model="gpt-image-2", image_size="720x1280", **ASYNCHRONOUS)
        home.write("boat", "a boat", negative_prompt="fog, text")
        home.run(states=(State.MISSING,))
        yield home.images


def find(folder: Path, stem: str) -> str:
    (file,) = folder.glob(f"{stem}_*.png")
    return str(file)


def test_everything_that_a_picture_was_made_from_is_shown(ours: Path, tmp_path: Path) -> None:
    run = duomi(tmp_path, "inspect", find(ours, "lighthouse"), find(ours, "boat"))
    assert (run.returncode, run.stderr) == (0, "")
    lines = dict(
        line.strip().split(":", 1) for line in run.stdout.splitlines() if line.startswith("  ") and ":" in line
    )
    assert set(lines) == {
        "Prompt", "Negative", "Model", "Settings", "Seed", "Size", "Prompt id", "Request key", "Task id", "Origin",
        "Price", "Made", "Disclosure",
    }  # fmt: skip
    assert "\n  Prompt:        a lighthouse\n                 at dawn, \\u2066竖幅\\u2069\n" in run.stdout
    assert "\n  Negative:      fog, text\n" in run.stdout
    for wanted in ("Model:         gpt-image-2", "Settings:      size=720x1280", "Seed:          51515151", "none",
                   "Size:          72x128; asked for 72x128, received 72x128", "Prompt id:     json_lighthouse",
                   "Price:         0.10 CNY", "IPTC trainedAlgorithmicMedia; AIGC label 1, producer Duomi-Pipeline/gpt-"):  # fmt: skip
        assert wanted in run.stdout


def test_json_holds_the_same_whole(ours: Path, tmp_path: Path) -> None:
    (entry,) = json.loads(duomi(tmp_path, "inspect", "--json", find(ours, "lighthouse")).stdout)["files"]
    made = entry["generation"]
    assert made["prompt"] == "a lighthouse\nat dawn, \u2066竖幅\u2069"
    assert (made["prompt_id"], made["model"], made["origin"]) == ("json_lighthouse", "gpt-image-2", "generated")
    assert made["task_id"]
    assert len(made["request_key"]) == 64
    assert (entry["size"], entry["error"]) == ("720x1280", None)
    assert entry["disclosure"]["digital_source_type"] == "trainedAlgorithmicMedia"
    assert entry["disclosure"]["aigc"]["Label"] == "1"
    assert [text["key"] for text in entry["texts"]] == ["duomi_generation", "parameters", "XML:com.adobe.xmp"]


def test_bad_files_are_named_and_the_others_shown(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(PNG[:-20])
    (tmp_path / "flipped.png").write_bytes(PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:])
    (tmp_path / "headless.png").write_bytes(PNG[:8] + chunk(b"IEND", b""))
    (tmp_path / "photo.png").write_bytes(encoded(gradient(), "JPEG"))
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    bad = {
        "cut.png": "cut off",
        "flipped.png": "damaged in chunk",
        "headless.png": "damaged: no header",
        "photo.png": "not a PNG file",
        "empty.png": "not a PNG file",
        "folder.png": "Is a directory",
        "missing.png": "No such file",
    }
    run = duomi(tmp_path, "inspect", *bad, find(ours, "boat"))
    assert run.returncode == 2
    assert "  Prompt:        a boat\n" in run.stdout
    errors = run.stderr.splitlines()
    assert len(errors) == len(bad)
    for line, (name, reason) in zip(errors, bad.items(), strict=True):
        assert line.startswith(f"Error: {name}: {reason}")
    as_json = json.loads(duomi(tmp_path, "inspect", "--json", *bad, find(ours, "boat")).stdout)["files"]
    assert [bool(entry["error"]) for entry in as_json] == [True] * len(bad) + [False]


def test_a_picture_of_others_shows_the_texts_that_it_carries(tmp_path: Path) -> None:
    theirs = chunk(b"tEXt", b"parameters\0a castle\nNegative prompt: fog\nSteps: 3") + chunk(b"caBX", b"signed")
    theirs += chunk(b"iTXt", b"workflow\0\0\0\0\0" + b"x" * 5000)
    theirs += chunk(b"iTXt", b'AIGC\0\0\0\0\0{"AIGC":{"Label":"1","ContentProducer":"001191"}}')
    (tmp_path / "theirs.png").write_bytes(with_chunk(PNG, theirs))
    (tmp_path / "plain.png").write_bytes(PNG)
    shown = duomi(tmp_path, "inspect", "theirs.png", "plain.png").stdout
    assert "  [parameters]:  a castle\n                 Negative prompt: fog\n" in shown
    assert "x … (5000 characters, all of them with --json)" in shown
    assert "  Disclosure:    AIGC label 1, producer 001191; a C2PA manifest\n" in shown
    assert "not a picture of this pipeline, and it carries no text" in shown
    assert len(shown) < 4000


def test_no_control_character_reaches_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "texts.png").write_bytes(with_chunk(PNG, chunk(b"iTXt", b"Comment\0\0\0\0\0" + HOSTILE.encode())))
    (tmp_path / "\x1b[31mname.png").write_bytes(with_chunk(PNG, chunk(b"tEXt", b"\x1b[31mkey\nPrice\0\x9b31m")))
    for options in ([], ["--json"]):
        line, env = command(tmp_path, "inspect", *options, "texts.png", "\x1b[31mname.png", "\x1b[31mmissing.png")
        run = subprocess.run(line, env=env, cwd=tmp_path, capture_output=True, timeout=90, check=False)
        seen = run.stdout.decode() + run.stderr.decode()
        assert not [c for c in seen if c != "\n" and (c < " " or "\x7f" <= c <= "\x9f" or c in OBEYED)]
        assert "\\u202egnp.exe" in seen
        assert "31mkey\\nPrice" in seen
    assert json.loads(run.stdout)["files"][0]["texts"] == [{"key": "Comment", "text": HOSTILE}]


def test_information_that_only_looks_like_ours_harms_nothing(ours: Path, tmp_path: Path) -> None:
    info = read_info(Path(find(ours, "boat")).read_bytes())
    assert info is not None
    made = info.model_dump(mode="json")
    odd = [
        {**made, "request": {"body": ["\ud800"]}},
        {**made, "created_at": "0001-01-01T00:00:00+14:00"},
        {"x": 1},
        [],
        7,
    ]
    for number, content in enumerate(odd):
        text = b"duomi_generation\0\0\0\0\0" + json.dumps(content).encode()
        (tmp_path / f"{number}.png").write_bytes(with_chunk(PNG, chunk(b"iTXt", text)))
    for options in ([], ["--json"]):
        run = duomi(tmp_path, "inspect", *options, *(f"{number}.png" for number in range(len(odd))))
        assert (run.returncode, run.stderr) == (0, "")
    assert not any(entry["generation"] for entry in json.loads(run.stdout)["files"])
