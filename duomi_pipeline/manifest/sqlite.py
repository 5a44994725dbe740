"""The manifest as an SQLite file, for scripts that join it with the user's own database."""

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from duomi_pipeline.manifest.columns import SCHEMA, Type
from duomi_pipeline.manifest.edition import Kept
from duomi_pipeline.prompts import Problem

# SQLite has no times and no lists: ISO 8601, which its date functions read, and JSON, which its JSON functions read.
_TYPES: Mapping[Type, str] = {
    "text": "TEXT",
    "integer": "INTEGER",
    "number": "REAL",
    "boolean": "BOOLEAN",
    "time": "TEXT",
    "list of text": "TEXT",
    "JSON": "TEXT",
}
_KEY = "prompt_id"
_NAMES = [column.name for column in SCHEMA]
_DATA = _NAMES.index("data")
_COLUMNS = ", ".join(
    f"{column.name} {_TYPES[column.type]}{' NOT NULL PRIMARY KEY' if column.name == _KEY else ''}" for column in SCHEMA
)
_TABLES = (
    f"CREATE TABLE results ({_COLUMNS});"
    + """
CREATE INDEX results_by_prompt_row_id ON results (prompt_row_id);
CREATE INDEX results_by_image_id ON results (image_id);
CREATE TABLE pictures (
    prompt_id TEXT NOT NULL REFERENCES results (prompt_id), position INTEGER NOT NULL, path TEXT NOT NULL,
    bytes INTEGER NOT NULL, size TEXT NOT NULL, received_size TEXT NOT NULL, how TEXT NOT NULL, made_at TEXT NOT NULL,
    PRIMARY KEY (prompt_id, position)
);
CREATE TABLE left_out (origin TEXT NOT NULL, reason TEXT NOT NULL);
CREATE VIEW generated_images AS
SELECT r.prompt_id, r.prompt_row_id, r.image_id, p.position, p.path, p.bytes, p.size, p.made_at,
       r.model, r.seed, r.host_kind, r.state
FROM pictures p JOIN results r ON r.prompt_id = p.prompt_id;
"""
)
_ADD = f"INSERT INTO results (rowid, {', '.join(_NAMES)}) VALUES (?{', ?' * len(_NAMES)})"  # noqa: S608
_ADD_PICTURE = """
INSERT INTO pictures VALUES (:prompt_id, :position, :path, :bytes, :size, :received_size, :how, :made_at)
"""


class Database:
    """Tables `results`, `pictures` and `left_out`, view `generated_images`: a new file, or a copy with other rows.

    Args:
        draft: the file to write.
        last: the one before; nothing of it is used where `gone` is `None`.
        gone: prompt ids of its rows that do not stay.
        places: rowid of each row: those with a smaller one come first where a query names no order.
        left_out: rows and files that give no prompt.

    Raises:
        OSError: the file cannot be written, or the disk is full; also from the methods.
    """

    def __init__(
        self, draft: Path, last: Path, gone: Iterable[str] | None, places: Iterable[int], left_out: Iterable[Problem]
    ) -> None:
        self._draft = draft
        self._places = iter(places)
        if gone is not None:
            shutil.copyfile(last, draft)
        self._db = sqlite3.connect(draft, isolation_level=None)
        with self._explained():
            # A file that nobody knows needs no way back, and is flushed to disk before it takes its name.
            self._db.execute("PRAGMA journal_mode=OFF")
            self._db.execute("PRAGMA synchronous=OFF")
            if gone is None:
                self._db.execute("PRAGMA page_size=16384")  # of 4096, a row with a long prompt would waste half
                self._db.executescript(_TABLES)
            self._db.execute("BEGIN")
            ids = [(prompt_id,) for prompt_id in gone or ()]
            self._db.executemany("DELETE FROM pictures WHERE prompt_id = ?", ids)
            self._db.executemany("DELETE FROM results WHERE prompt_id = ?", ids)
            self._db.execute("DELETE FROM left_out")
            self._db.executemany("INSERT INTO left_out VALUES (?, ?)", map(astuple, left_out))

    def keep(self, part: Kept) -> None:
        """Leave rows of the last file where they are."""
        for _ in range(part.start, part.stop):
            next(self._places)

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows and their pictures."""
        plain = [(next(self._places), *map(_plain, row)) for row in rows]
        with self._explained():
            self._db.executemany(_ADD, plain)
            self._db.executemany(_ADD_PICTURE, (picture for row in rows for picture in _pictures_of(row)))

    def close(self) -> None:
        """Write the end."""
        with closing(self._db), self._explained():
            self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OSError(f"{self._draft}: {error}") from error


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _pictures_of(row: Sequence[Any]) -> Iterator[dict[str, Any]]:
    images = json.loads(row[_DATA])["images"] if row[_DATA] else []
    for position, image in enumerate(images):
        yield {_KEY: row[0], "position": position, **image}
