"""The prompt table of the user's SQLite database. Read-only: the database belongs to other scripts."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

from duomi_pipeline.prompts.prompt import Problem, Prompt, Reading, SourceError, safe_prefix

COLUMNS = ("id", "image_id", "image_prompt", "original_filename", "descriptive_name")
LOCK_WAIT = 30.0  # seconds to wait for a writer that holds the database
Row = tuple[object, ...]

# The guide's query. Its WHERE clause is applied in `_prompt`, so that rows left out can be counted and named.
_QUERY = """
SELECT p.id, p.image_id, p.image_prompt, i.original_filename, i.descriptive_name
FROM prompts p LEFT JOIN images i ON p.image_id = i.id
ORDER BY p.id
"""


def fetch_rows(database: Path, lock_wait: float = LOCK_WAIT) -> list[Row]:
    """All rows of the prompt table, in the order of `COLUMNS`.

    Raises:
        SourceError: no such file, not a database, a table or column missing, or locked for too long.
    """
    if not database.is_file():
        raise SourceError(f"No database at {database}. Put the file there, or set DUOMI_DATABASE to where it is.")
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=lock_wait)) as db:
            db.text_factory = lambda raw: raw.decode("utf-8", "replace")
            return db.execute(_QUERY).fetchall()
    except sqlite3.Error as error:
        raise SourceError(f"{database}: {_advice(str(error), lock_wait)}") from error


def table_prompts(rows: Sequence[Row], names: Literal["id", "descriptive"] = "id") -> Reading:
    """Turn rows into prompts; a row without a usable prompt becomes a problem and stops nothing."""
    prompts: list[Prompt] = []
    problems: list[Problem] = []
    for row in rows:
        found = _prompt(row, names)
        if isinstance(found, Prompt):
            prompts.append(found)
        else:
            problems.append(found)
    return Reading(tuple(prompts), tuple(problems))


def _prompt(row: Row, names: str) -> Prompt | Problem:
    row_id, image_id, text, _, descriptive_name = row
    origin = f"prompts.id={row_id}"
    if text is None:
        return Problem(origin, "image_prompt is NULL")
    if not isinstance(text, str):
        return Problem(origin, f"image_prompt is not text but {type(text).__name__}")
    if not text.strip():
        return Problem(origin, "image_prompt is empty")
    name = descriptive_name.strip() if isinstance(descriptive_name, str) else ""
    return Prompt(
        id=f"db_{row_id}",
        text=text,
        source="database",
        origin=origin,
        file_prefix=safe_prefix(f"db_{name if name and names == 'descriptive' else row_id}"),
        image_id=image_id if isinstance(image_id, int) else None,
        name=name or None,
    )


def _advice(error: str, lock_wait: float) -> str:
    """SQLite's words, and what to do about them."""
    if "locked" in error or "busy" in error:
        return f"locked by another program for more than {lock_wait:g} s; close it or try again ({error})"
    if "no such table" in error or "no such column" in error:
        return f"{error}; the tables prompts and images of the guide are needed"
    return error
