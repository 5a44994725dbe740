"""The folder of JSON prompts: one bad file never stops the others."""

import codecs
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.prompts import Prompt, Reading, SourceError
from duomi_pipeline.prompts.json_files import read_folder
from duomi_pipeline.prompts.other_files import OWN_FILE
from duomi_pipeline.settings import ParameterOverrides
from duomi_pipeline_tests.prompts.harness import NOW, PROMPTS, prompt_file

GOOD = {"image_prompt": "a boat"}


def read(folder: Path) -> Reading:
    return read_folder(folder, now=NOW)


def read_one(folder: Path, name: str, content: object) -> Prompt:
    prompt_file(folder, name, content)
    reading = read(folder)
    assert reading.problems == ()
    (prompt,) = reading.prompts
    return prompt


def test_a_file_becomes_a_prompt(tmp_path: Path) -> None:
    prompt = read_one(tmp_path, "boat.json", {**GOOD, "video_prompt": "pan", "anything": {"else": None}})
    assert prompt == Prompt("json_boat", "a boat", "json", "boat.json", "boat")


def test_prompts_as_people_write_them_are_read_with_ids_that_are_unique_and_safe() -> None:
    files = list(PROMPTS.glob("*.json"))
    reading = read_folder(PROMPTS)
    ids = {prompt.id for prompt in reading.prompts}
    assert (len(reading.prompts), len(ids), reading.problems) == (len(files), len(files), ())
    assert all(re.fullmatch(r"json_[\w-]{1,95}", prompt_id) for prompt_id in ids)


def test_files_are_read_in_the_order_of_their_names_and_others_left_alone(tmp_path: Path) -> None:
    for name in ("b.json", "a.JSON", "c.json", ".hidden.json", "README.txt", "boat.png", "d.json.tmp"):
        prompt_file(tmp_path, name, GOOD)
    reading = read(tmp_path)
    assert [prompt.origin for prompt in reading.prompts] == ["a.JSON", "b.json", "c.json"]
    assert reading.problems == ()


def test_a_missing_folder_holds_no_files(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == Reading()


def test_a_folder_that_cannot_be_listed_is_an_error_not_an_empty_folder(tmp_path: Path) -> None:
    path = prompt_file(tmp_path, "file", b"")
    with pytest.raises(SourceError, match="DUOMI_PROMPT_DIR"):
        read(path)


# --- bad files ---------------------------------------------------------------------------------------

UNREADABLE = {
    "empty": (b"", "not valid JSON"),
    "half": (b'{"image_prompt": "a bo', "not valid JSON"),
    "utf16": (json.dumps(GOOD).encode("utf-16"), "save it as UTF-8"),
    "latin1": ('{"image_prompt": "café"}'.encode("latin-1"), "not UTF-8"),
    "null_bytes": (b"\0" * 100, "not valid JSON"),
    "deep": (b'{"image_prompt": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not usable JSON"),
    "digits": (b'{"image_prompt": "a", "x": ' + b"9" * 5000 + b"}", "not usable JSON"),
    "large": (json.dumps({**GOOD, "x": "x" * 4_000_000}).encode(), "larger than 4 MB"),
    "lines": (b'{"image_prompt": "a"}\n{"image_prompt": "b"}\n', "holds more than one JSON value: each prompt needs"),
    "open_fence": (
        b'```json\n{"image_prompt": "a"}\n',
        "its code fence (```) is not closed; close it, or leave nothing",
    ),
    "fence_closed_by_less": (b'````\n{"image_prompt": "a"}\n```', "its code fence (````) is not closed"),
    "two_fences": (
        b'```\n{"image_prompt": "a"}\n```\n```\n{"image_prompt": "b"}\n```',
        "holds 2 blocks in code fences, which may be as many prompts: each prompt needs a .json file of its own",
    ),
    "no_json_in_it": (b"```json\na boat\n```", "not valid JSON"),
    "half_a_character": (b'{"image_prompt": "\\ud83d boat"}', "image_prompt"),
}
UNUSABLE: dict[str, tuple[object, str]] = {
    "list": ([GOOD], "holds a list of 1, not an object: each prompt needs a .json file of its own"),
    "text": ("a boat", "holds a str, not an object"),
    "null": (None, "not an object"),
    "no_prompt": ({"video_prompt": "pan"}, 'no "image_prompt"'),
    "null_prompt": ({"image_prompt": None}, 'no "image_prompt"'),
    "number": ({"image_prompt": 5}, "not text but int"),
    "number_as_prompt": ({"prompt": 5}, '"prompt" is not text but int'),
    "object": ({"image_prompt": {"text": "a"}}, "not text but dict"),
    "blank": ({"image_prompt": " \n"}, "empty"),
    "generation": ({**GOOD, "generation": [1]}, '"generation" is not an object'),
    "unknown": ({**GOOD, "generation": {"stepz": 3}}, 'there is no parameter "stepz"'),
    "steps": ({**GOOD, "generation": {"num_inference_steps": 0}}, "num_inference_steps=0"),
    "wrong_type": ({**GOOD, "generation": {"num_inference_steps": "many"}}, "num_inference_steps='many'"),
    "size": ({**GOOD, "generation": {"image_size": "huge"}}, "image_size='huge'"),
    "size_number": ({**GOOD, "generation": {"image_size": 1080}}, "WIDTHxHEIGHT"),
    "seed": ({**GOOD, "generation": {"seed": -1}}, "seed=-1"),
    "nan": ({**GOOD, "generation": {"guidance_scale": float("nan")}}, "guidance_scale=nan"),
    "model": ({**GOOD, "generation": {"model": " "}}, "model=' '"),
    "negative": ({**GOOD, "negative_prompt": ["blur"]}, "negative_prompt=['blur']"),
}


@pytest.mark.parametrize("name", [*UNREADABLE, *UNUSABLE])
def test_a_bad_file_is_named_with_its_reason_and_the_others_are_read(tmp_path: Path, name: str) -> None:
    content, reason = {**UNREADABLE, **UNUSABLE}[name]
    for good in ("0.json", "zz.json"):
        prompt_file(tmp_path, good, GOOD)
    prompt_file(tmp_path, f"{name}.json", content)
    reading = read(tmp_path)
    assert [prompt.origin for prompt in reading.prompts] == ["0.json", "zz.json"]
    (problem,) = reading.problems
    assert problem.origin == f"{name}.json"
    assert reason in problem.reason
    assert str(problem) == f"{problem.origin}: {problem.reason}"
    assert reading.present == {f"json_{name}"}


@pytest.mark.parametrize("kind", ["folder", "looping link", "dangling link", "pipe"])
def test_what_is_not_a_file_is_named_and_the_others_are_read(tmp_path: Path, kind: str) -> None:
    prompt_file(tmp_path, "good.json", GOOD)
    path = tmp_path / "x.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("x.json" if kind == "looping link" else "gone")
    reading = read(tmp_path)
    assert [prompt.id for prompt in reading.prompts] == ["json_good"]
    assert [str(problem) for problem in reading.problems] == ["x.json: not a file"]


@pytest.mark.parametrize(
    "content",
    [b"", b'{"image_prompt": "a bo', '{"image_prompt": "城'.encode()[:-1]],
    ids=["empty", "cut in a word", "cut in a character"],
)
def test_a_file_still_being_written_is_named_as_such_until_it_was_left_alone(tmp_path: Path, content: bytes) -> None:
    prompt_file(tmp_path, "new.json", content, age=1)
    reading = read(tmp_path)
    assert (set(reading.present), set(reading.unfinished)) == ({"json_new"}, {"new.json"})
    assert [str(p).partition(",")[0] for p in reading.problems] == ["new.json: still being written"]
    later = read_folder(tmp_path, now=NOW + 10)
    assert later.unfinished == frozenset()
    assert [problem.origin for problem in later.problems] == ["new.json"]
    assert "still being written" not in later.problems[0].reason


def test_a_fresh_file_that_is_whole_is_not_waited_for(tmp_path: Path) -> None:
    prompt_file(tmp_path, "good.json", GOOD, age=0)
    prompt_file(tmp_path, "bad.json", {"image_prompt": 5}, age=0)
    reading = read(tmp_path)
    assert [prompt.id for prompt in reading.prompts] == ["json_good"]
    assert [problem.origin for problem in reading.problems] == ["bad.json"]


def test_a_bad_file_that_is_dated_in_the_future_is_reported_now(tmp_path: Path) -> None:
    prompt_file(tmp_path, "bad.json", b"{", age=-86_400)
    assert [problem.origin for problem in read(tmp_path).problems] == ["bad.json"]


# --- odd but good files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (codecs.BOM_UTF8 + '{"image_prompt": "城市"}'.encode(), "城市"),
        (b'{"image_prompt": "first", "image_prompt": "last"}', "last"),
        (b'{"image_prompt": "a boat", "score": NaN}', "a boat"),
        (b'{"image_prompt": "a\\u0000b\\u001b[31m"}', "a\0b\x1b[31m"),
        (b'\n\t {"image_prompt": " a\\n\\nboat "}\r\n', " a\n\nboat "),
        (json.dumps({"image_prompt": "x" * 50_000}).encode(), "x" * 50_000),
        (b'{"image_prompt": "\\ud83d\\ude00"}', "😀"),
    ],
    ids=["bom", "duplicate keys", "nan", "control characters", "white space", "long", "emoji"],
)
def test_odd_json_is_read_as_it_is(tmp_path: Path, content: bytes, text: str) -> None:
    assert read_one(tmp_path, "odd.json", content).text == text


@pytest.mark.parametrize(
    "name",
    ["a, b.json", "a..json", "%2e%2e.json", "a\nb.json", "$(id);`x`'\".json", "城市 🌇.json", "a" * 245 + ".json",
     "é" * 122 + ".json", "-rf.json", "a.b.json", "\\..\\x.json"],
)  # fmt: skip
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    prompt = read_one(tmp_path, name, GOOD)
    assert re.fullmatch(r"json_[\w-]{1,95}", prompt.id)
    assert not re.search(r"[/\\\x00-\x1f]", prompt.file_prefix)
    assert len(prompt.file_prefix.encode()) <= 200


def test_a_name_that_is_not_utf8_can_be_shown_and_written(tmp_path: Path) -> None:
    try:
        prompt_file(tmp_path, os.fsdecode(b"\xff\xfe.json"), GOOD)
        prompt_file(tmp_path, os.fsdecode(b"bad\xff.json"), [])
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    reading = read(tmp_path)
    (prompt,), (problem,) = reading.prompts, reading.problems
    assert f"{prompt.id} {prompt.origin} {prompt.file_prefix} {problem}".encode()


def test_case_twins_are_two_prompts(tmp_path: Path) -> None:
    prompt_file(tmp_path, "Cat.json", {"image_prompt": "large"})
    prompt_file(tmp_path, "cat.json", {"image_prompt": "small"})
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system has no case")
    assert {prompt.id: prompt.text for prompt in read(tmp_path).prompts} == {
        "json_Cat": "large",
        "json_cat": "small",
    }


def test_of_two_files_with_one_id_the_second_is_named(tmp_path: Path) -> None:
    prompt_file(tmp_path, "x.JSON", GOOD)
    prompt_file(tmp_path, "x.json", GOOD)
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system has no case")
    reading = read(tmp_path)
    assert [prompt.origin for prompt in reading.prompts] == ["x.JSON"]
    assert [problem.origin for problem in reading.problems] == ["x.json"]
    assert "x.JSON" in reading.problems[0].reason


# --- overrides and versions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "overrides"),
    [
        ({}, ParameterOverrides()),
        ({"negative_prompt": "blur"}, ParameterOverrides(negative_prompt="blur")),
        ({"negative_prompt": None, "generation": None}, ParameterOverrides()),
        ({"generation": {"seed": "per-prompt", "image_size": "720X1280"}},
         ParameterOverrides(seed="per-prompt", image_size="720x1280")),
        ({"generation": {"model": "m", "num_inference_steps": 30, "guidance_scale": 4}},
         ParameterOverrides(model="m", num_inference_steps=30, guidance_scale=4.0)),
        ({"negative_prompt": "outer", "generation": {"negative_prompt": "inner"}}, ParameterOverrides(negative_prompt="outer")),
        ({"generation": {"negative_prompt": "inner"}}, ParameterOverrides(negative_prompt="inner")),
    ],
)  # fmt: skip
def test_a_file_may_carry_parameters_for_itself(
    tmp_path: Path, fields: dict[str, Any], overrides: ParameterOverrides
) -> None:
    assert read_one(tmp_path, "a.json", {**GOOD, **fields}).overrides == overrides


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, False),
        ({"video_prompt": "zoom"}, False),
        ({"generation": {}}, False),
        ({"image_prompt": "a ship"}, True),
        ({"negative_prompt": "blur"}, True),
        ({"generation": {"seed": 1}}, True),
    ],
)
def test_only_text_and_overrides_change_the_version(tmp_path: Path, fields: dict[str, Any], changes: bool) -> None:
    before = read_one(tmp_path, "a.json", {**GOOD, "video_prompt": "pan"})
    prompt_file(tmp_path, "a.json", {**GOOD, "video_prompt": "pan", **fields}, age=7)
    (after,) = read(tmp_path).prompts
    assert after.id == before.id
    assert (after.version != before.version) == changes


# --- other shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b'```json\n{"image_prompt": "a boat"}\n```', "code fence"),
        (b'\xef\xbb\xbf```\r\n{\r\n"image_prompt": "a boat"}\r\n```\r\n', "code fence"),
        (b'Sure! Here it is:\n\n```json\n{"image_prompt": "a boat"}\n```\n\nEnjoy!', "code fence"),
        (b'```json\n{"image_prompt": "a boat", "x": "\xe2\x80\xa8"}\n```', "code fence"),
        (b'~~~JSON\n{"image_prompt": "a boat"}\n~~~', "code fence"),
        (b'```json title="boat.json" {1,3}\n{"image_prompt": "a boat"}\n```', "code fence"),
        (b'```{.json}\n{"image_prompt": "a boat"}\n`````', "code fence"),
        (b'~~~ application/json `x`\n{"image_prompt": "a boat"}\n~~~', "code fence"),
        (b'{"prompt": "a boat"}', 'read from "prompt"'),
        (b'{"prompt": "a boat", "image_prompt": null}', 'read from "prompt"'),
    ],
)
def test_what_a_language_model_writes_around_it_is_read_and_noted(tmp_path: Path, content: bytes, note: str) -> None:
    prompt_file(tmp_path, "x.json", content)
    reading = read(tmp_path)
    assert [(prompt.id, prompt.text) for prompt in reading.prompts] == [("json_x", "a boat")]
    assert reading.problems == ()
    (found,) = reading.notes
    assert (found.origin, note in found.reason) == ("x.json", True)


@pytest.mark.parametrize("content", [b"%s", codecs.BOM_UTF8 + b"%s"], ids=["plain", "with a byte order mark"])
def test_a_file_as_it_should_be_has_no_note_and_its_image_prompt_counts(tmp_path: Path, content: bytes) -> None:
    both = json.dumps({"prompt": "```json\n{}\n```", "image_prompt": "a boat"}).encode()
    prompt_file(tmp_path, "x.json", content % both)
    assert ([prompt.text for prompt in read(tmp_path).prompts], read(tmp_path).notes) == (["a boat"], ())


def test_files_and_folders_that_may_hold_prompts_are_named_by_kind_with_what_to_do(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.TXT", "all.jsonl", "x.csv", "y.csv", "boat.png", "x.json.part"):
        prompt_file(tmp_path, name, b"")
    for name in ("styles", "old", ".git", "__MACOSX"):
        (tmp_path / name).mkdir()
        prompt_file(tmp_path / name, "boat.json", GOOD)
    reading = read(tmp_path)
    assert reading.prompts == ()
    assert [(problem.origin, problem.reason.partition(" ")[2]) for problem in reading.problems] == [
        ("x.csv and 1 more .csv file", f"read: {OWN_FILE}"),
        ("all.jsonl", f"read: {OWN_FILE}"),
        ("a.txt and 2 more .txt files", f"read: {OWN_FILE}"),
        ("old/ and 1 more folder", "read: move its files up, or set DUOMI_PROMPT_DIR to it"),
    ]
