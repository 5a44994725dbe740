"""Reads the prompt table of the user's SQLite database; never writes it, other scripts own it.

From a database server: `server_table`.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

from duomi_pipeline.common.text import one_line
from duomi_pipeline.prompts.marks import SETTLED, Marks, mark_of
from duomi_pipeline.prompts.prompt import (
    MAX_ID_LENGTH,
    NoDatabaseError,
    Problem,
    Prompt,
    Reading,
    SourceError,
    safe_name,
    safe_prefix,
    text_problem,
)

COLUMNS = ("id", "image_id", "image_prompt", "original_filename", "descriptive_name")
_HEADER = 100  # bytes; SQLite's counter of changes is among them
LOCK_WAIT = 30.0  # seconds to wait while another program writes the database
Row = tuple[object, ...]

TABLES_NEEDED = "the tables prompts and images of the guide are needed"
# The guide's query. Its WHERE clause is applied in `_prompt`, so that rows left out can be counted and reported.
QUERY = """
SELECT p.id, p.image_id, p.image_prompt, i.original_filename, i.descriptive_name
FROM prompts p LEFT JOIN images i ON p.image_id = i.id
ORDER BY p.id
"""


def fetch_rows(database: Path, lock_wait: float = LOCK_WAIT) -> list[Row]:
    """All rows of the prompt table at once; see `read_rows`."""
    return list(read_rows(database, lock_wait))


def read_rows(database: Path, lock_wait: float = LOCK_WAIT) -> Iterator[Row]:
    """All rows of the prompt table one by one, in the order of `COLUMNS`.

    Raises:
        NoDatabaseError: no such file.
        SourceError: not a database, a table or column missing, or locked for too long.
    """
    if not database.is_file():
        raise NoDatabaseError(f"No database at {database}. Put the file there, or set DUOMI_DATABASE to where it is.")
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=lock_wait)) as db:
            db.text_factory = lambda raw: raw.decode("utf-8", "replace")
            yield from db.execute(QUERY)
    except sqlite3.Error as error:
        raise SourceError(f"{database}: {_advice(one_line(str(error)), lock_wait)}") from error
    except UnicodeDecodeError as error:  # even SQLite's own message, if it quotes a damaged schema
        raise SourceError(f"{database}: the database is damaged ({error.reason})") from error


def stamp_of(database: Path) -> str:
    """The state of an SQLite file and its log, another one after each change; empty where nobody can tell.

    A file that was changed a moment ago may be changed once more at the same time, as file systems count it.
    """
    state: list[object] = []
    database = database.resolve()  # beside it, not beside a link to it, lies its log
    for ending in ("", "-wal", "-journal"):
        path = database.with_name(database.name + ending)
        try:
            seen = path.stat()
            with path.open("rb") as file:
                header = file.read(_HEADER)
        except FileNotFoundError:
            continue
        except OSError:
            return ""
        if time.time() - max(seen.st_mtime, seen.st_ctime) < SETTLED:
            return ""
        state.append((ending, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, header))
    return str(mark_of(state))


def table_prompts(
    rows: Iterable[Row], names: Literal["id", "descriptive"] = "id", marks: Marks | None = None
) -> Reading:
    """Turn rows into prompts; a row without a usable prompt becomes a problem and stops nothing.

    Args:
        rows: as they come from `read_rows`.
        names: what file names are made of.
        marks: of the register: unchanged rows are only counted. `None`: all rows are read.
    """
    known = marks or Marks({})
    prompts: dict[str, Prompt] = {}
    found_marks: dict[str, int] = {}
    problems: list[Problem] = []
    for row in rows:
        origin, mark = f"prompts.id={row[0]}", mark_of(names, row)
        is_repeated = known.was_seen(origin)
        if not is_repeated and known.is_unchanged(origin, mark):
            continue
        found = _prompt(row, names)
        if isinstance(found, Problem):
            problems.append(found)
        elif is_repeated or found.id in prompts:
            problems.append(Problem(found.origin, "an earlier row has the same id"))
        else:
            known.see(origin)
            prompts[found.id], found_marks[found.id] = found, mark
    gone = None if marks is None else tuple(known.gone())
    return Reading(tuple(prompts.values()), tuple(problems), marks=found_marks, unchanged=known.unchanged, gone=gone)


def _prompt(row: Row, names: str) -> Prompt | Problem:
    row_id, image_id, text, _, descriptive_name = row
    origin = f"prompts.id={row_id}"
    if not isinstance(row_id, int | str) or row_id == "":
        return Problem(origin, f"its id is neither a number nor text but {type(row_id).__name__}")
    if text is None:
        return Problem(origin, "image_prompt is NULL")
    if problem := text_problem(text):
        return Problem(origin, f"image_prompt {problem}")
    name = descriptive_name.strip() if isinstance(descriptive_name, str) else ""
    return Prompt(
        id=f"db_{safe_name(str(row_id), MAX_ID_LENGTH - len('db_'))}",
        text=str(text),
        source="database",
        origin=origin,
        file_prefix=safe_prefix(f"db_{name if name and names == 'descriptive' else row_id}"),
        image_id=image_id if isinstance(image_id, int) else None,
        name=name or None,
    )


def _advice(error: str, lock_wait: float) -> str:
    """SQLite's message, and what to do."""
    if "locked" in error or "busy" in error:
        return f"locked by another program for more than {lock_wait:g} s; close it or try again ({error})"
    if "no such table" in error or "no such column" in error:
        return f"{error}; {TABLES_NEEDED}"
    return error
