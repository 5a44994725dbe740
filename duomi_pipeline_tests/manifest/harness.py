"""Manifests of a home, as tables and as files, and a database as the user's scripts have it."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from duomi_pipeline.engine.looking import look
from duomi_pipeline.manifest import COLUMNS, planned_rows, write_manifest
from duomi_pipeline.prompts import read_sources
from duomi_pipeline_tests.engine.home import Home

Row = dict[str, Any]
SEED_SCHEMA = """
CREATE TABLE images (id INTEGER PRIMARY KEY, timestamp TEXT, original_filename TEXT NOT NULL, original_path TEXT,
    file_size_bytes INTEGER, upload_url TEXT, uploaded_filename TEXT, uploaded_path TEXT, downloaded_size_bytes INTEGER,
    processing_time_seconds REAL, status TEXT DEFAULT 'pending', error_message TEXT, descriptive_name TEXT,
    processed_path TEXT, created_at TEXT, updated_at TEXT, origin_image_id INTEGER);
CREATE TABLE prompts (id INTEGER PRIMARY KEY, image_id INTEGER NOT NULL REFERENCES images(id), image_prompt TEXT,
    video_prompt TEXT, refined_video_prompt TEXT, creative_video_prompt_1 TEXT, creative_video_prompt_2 TEXT,
    creative_video_prompt_3 TEXT, created_at TEXT, updated_at TEXT);
CREATE TABLE videos (id INTEGER PRIMARY KEY, image_id INTEGER, prompt_id INTEGER, video_filename TEXT, video_path TEXT,
    prompt_used TEXT, prompt_type TEXT, status TEXT);
"""


def table(home: Home, **changes: Any) -> pd.DataFrame:
    """The manifest of a home as it is now, in pandas."""
    found = made(home, **changes)
    return pd.DataFrame({n: pd.Series([row[n] for row in found], dtype=kind) for n, kind in COLUMNS.items()})


def made(home: Home, **changes: Any) -> list[Row]:
    """The same as the rows that are written."""
    with home.session(**changes) as session:
        return planned_rows(session, session.plan(read_sources(session.settings).prompts).entries)


def rows(home: Home, **changes: Any) -> dict[str, Row]:
    """The same by prompt id, as its JSON says it."""
    paths = write(home, **changes)
    return {row["prompt_id"]: row for row in json.loads(paths["json"].read_text(encoding="utf-8"))}


def write(home: Home, **changes: Any) -> dict[str, Path]:
    """Write the manifest's files; returns their paths."""
    with home.session(**changes) as session:
        problems = look(session.ledger, session.settings).problems
        written = write_manifest(session, session.plan_registered(), problems, home.path / "out/manifest")
    return {kind: Path(str(path)) for kind, path in written.paths.items()}


def query(file: Path, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """What an SQLite file answers."""
    with closing(sqlite3.connect(file)) as db:
        return db.execute(statement, parameters).fetchall()


def seed_database(home: Home, texts: Sequence[str]) -> Path:
    """A database as the user's scripts have it: prompt n, of image 100 + n."""
    path = home.path / "data/llm_video_batch.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SEED_SCHEMA)
        for number, text in enumerate(texts, 1):
            image = (100 + number, f"{number}.jpg", f"name {number}")
            db.execute("INSERT INTO images (id, original_filename, descriptive_name) VALUES (?, ?, ?)", image)
            prompt = (number, 100 + number, text, f"pan {number}")
            db.execute("INSERT INTO prompts (id, image_id, image_prompt, video_prompt) VALUES (?, ?, ?, ?)", prompt)
        db.commit()
    return path
