"""Files and databases of prompts, for whoever reads them, and prompts as people write them."""

import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

PROMPTS = (
    Path(__file__).parents[1] / "data" / "prompts"
)  # files as people write them: talk, flags, weights, emoji, Chinese
NOW = 1_800_000_000.0  # seconds; the moment of the look
SCHEMA = """
CREATE TABLE images (id INTEGER PRIMARY KEY, original_filename TEXT NOT NULL, descriptive_name TEXT);
CREATE TABLE prompts (id INTEGER PRIMARY KEY, image_id INTEGER NOT NULL REFERENCES images(id),
                      image_prompt TEXT, video_prompt TEXT);
"""


def written_texts() -> list[str]:
    """The texts of `PROMPTS`, in the order of their files' names."""
    return [json.loads(path.read_text(encoding="utf-8"))["image_prompt"] for path in sorted(PROMPTS.glob("*.json"))]


def prompt_file(folder: Path, name: str, content: object, age: float = 3600.0) -> Path:
    """A file of `folder`, last written `age` seconds before `NOW`; bytes as they are, anything else as JSON."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    os.utime(path, (NOW - age, NOW - age))
    return path


def prompt_database(path: Path, texts: Iterable[object], names: Iterable[object] = ()) -> Path:
    """The seed's tables: prompt n points at image n; only the images in `names` are there."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA)
        images = [(number, f"{number}.jpg", name) for number, name in enumerate(names, 1)]
        db.executemany("INSERT INTO images VALUES (?, ?, ?)", images)
        prompts = [(number, number, text) for number, text in enumerate(texts, 1)]
        db.executemany("INSERT INTO prompts VALUES (?, ?, ?, 'pan left')", prompts)
        db.commit()
    return path
