"""A session on a terminal of 80 columns, in a home of prompts as people and programs leave them.

What can be read is read, what cannot is named with what to do, the others are made and paid once, nothing else costs.
"""

import json
import os
import re
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import pictures
from duomi_pipeline_tests.cli.test_interrupts import half_a_file, terminal

COLUMNS = 80
OWN_FILE = 'each prompt needs a .json file of its own; docs/usage.md, "Prompts in other shapes", has the command'
READ = {
    "fenced": 'Sure!\n```json\n{"image_prompt": "A kite over dunes"}\n```\nEnjoy!',
    "info": '```json title="owl.json" {1}\n{"image_prompt": "An owl at dusk"}\n```',
    "key": '{"prompt": "A heron in the reeds"}',
}
NO_PICTURE = {
    "sorry": "I'm sorry, but I can't help with that.",
    "baoqian": "很抱歉，我无法生成这张图片。",
    "policy": "This request violates our content policy.",
    "unseen": "I don't see any image attached.",
    "nan": "nan",
}
LEFT_OUT: Mapping[str, tuple[bytes, str]] = {
    "array.json": (b'[{"image_prompt": "a"}]', f"holds a list of 1, not an object: {OWN_FILE}"),
    "cp1252.json": ('{"image_prompt": "café"}'.encode("cp1252"), "not UTF-8 text: invalid continuation byte at byte 21;"),
    "gbk.json": ('{"image_prompt": "夜市"}'.encode("gbk"), "not UTF-8 text: invalid continuation byte at byte 20; save it as UTF-8"),
    "invisible.json": ('{"image_prompt": "\u200b\u3164"}'.encode(), '"image_prompt" shows nothing: all its characters'),
    "lines.jsonl": (b'{"image_prompt": "a"}\n', f"not read: {OWN_FILE}"),
    "notes.txt": (b"a boat\n", f"not read: {OWN_FILE}"),
    "open.json": (b'```json\n{"image_prompt": "a"}\n', "its code fence (```) is not closed; close it, or leave nothing"),
    "two.json": (
        b'```\n{"image_prompt": "a"}\n```\nor\n```\n{"image_prompt": "b"}\n```',
        f"holds 2 blocks in code fences, which may be as many prompts: {OWN_FILE}",
    ),
}  # fmt: skip
FOLDER = "sub/: not read: move its files up, or set DUOMI_PROMPT_DIR to it"
ROWS = [
    "prompts.id=2: image_prompt is not UTF-8 text; write it as UTF-8",
    "prompts.id=3: image_prompt is NULL",
    "prompts.id=None: its id is NULL; give the row one",
]
# What pandas makes of the guide's tables, `images` as a view; one text was written as GBK.
TABLES = """
CREATE TABLE pictures (id REAL, original_filename TEXT, descriptive_name TEXT);
CREATE VIEW images AS SELECT * FROM pictures;
CREATE TABLE prompts (id REAL, image_id REAL, image_prompt TEXT);
INSERT INTO prompts VALUES (1.0, 1.0, 'A lamp'), (2.0, NULL, CAST(x'D2B9CAD0' AS TEXT)), (3.0, 3.0, NULL), (NULL, 4.0, 'x');
"""


@pytest.fixture
def mixed(home: Path) -> Path:
    """A home of all of these, beside four good prompts."""
    folder = home / "out/prompt_json"
    contents = {f"{stem}.json": text.encode() for stem, text in READ.items()}
    contents |= {f"{stem}.json": json.dumps({"image_prompt": text}).encode() for stem, text in NO_PICTURE.items()}
    contents |= {name: content for name, (content, _) in LEFT_OUT.items()}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (time.time() - 60, time.time() - 60))
    (folder / "sub").mkdir()
    (folder / "sub/inner.json").write_text('{"image_prompt": "never looked for"}')
    (home / "data").mkdir()
    with closing(sqlite3.connect(home / "data/llm_video_batch.db")) as db:
        db.executescript(TABLES)
    return home


def seen(home: Path, *arguments: str, exits: int = 0) -> str:
    """What a command says on the terminal, as one line; its lines fit, but for paths."""
    with terminal(home, *arguments, columns=COLUMNS) as shown:
        assert shown.end() == exits, shown.seen
    lines = [line.rpartition("\r")[2] for line in re.sub(r"\x1b\[[\d;?]*\w", "", shown.seen).split("\r\n")]
    assert [line for line in lines if len(line) > COLUMNS and "/" not in line] == []
    return " ".join(" ".join(lines).split())


def test_each_shape_is_read_or_named_on_a_narrow_terminal_and_nothing_else_costs(
    mixed: Path, sandbox: SandboxServer
) -> None:
    late = half_a_file(mixed)
    planned = seen(mixed, "plan")
    assert "Left out: late.json: still being written, or not whole: changed a moment ago; the next look" in planned
    late.write_text('{"image_prompt": "A late train"}')
    named = [*(f"{name}: {reason}" for name, (_, reason) in LEFT_OUT.items()), FOLDER, *ROWS]
    for arguments, exits in (["generate"], 0), (["lint"], 1), (["doctor"], 0), (["status"], 0):
        said = seen(mixed, *arguments, exits=exits)
        assert [one for one in named if f"Left out: {one}" not in said] == [], arguments
        if arguments == ["generate"]:
            assert [stem for stem in NO_PICTURE if f"No picture? json_{stem}: It " not in said] == []
    assert 'its text was read from "prompt"' in seen(mixed, "lint", "--prompt-id", "json_key")
    for name, (_, reason) in LEFT_OUT.items():
        if name in ("open.json", "lines.jsonl"):
            assert reason in seen(mixed, "why", name)

    made = {*READ, *NO_PICTURE, "boat", "fox", "market", "tower", "late", "db_1"}
    assert {re.sub(r"_\d{8}_.*", "", name) for name in pictures(mixed)} == made
    assert sandbox.books.totals().posts == len(made)
