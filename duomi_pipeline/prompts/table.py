"""Reads the prompt table of the user's SQLite database; never writes it, other scripts own it.

From a database server: `server_table`.
"""

import math
import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Literal

from duomi_pipeline.prompts.marks import SETTLED, Marks, mark_of
from duomi_pipeline.prompts.prompt import (
    MAX_ID_LENGTH,
    NoDatabaseError,
    Problem,
    Prompt,
    Reading,
    safe_name,
    safe_prefix,
    text_problem,
)
from duomi_pipeline.prompts.sqlite_file import NotUtf8, Row, query_file, side_file

COLUMNS = ("id", "image_id", "image_prompt", "original_filename", "descriptive_name")
_HEADER = 100  # bytes; SQLite's counter of changes is among them
LOCK_WAIT = 30.0  # seconds to wait while another program writes the database
_MAX_EXACT = 2**53  # above it a REAL stands for several whole numbers

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
        SourceError: not a database, a table or column missing, locked for too long, or left half written.
    """
    if not database.is_file():
        raise NoDatabaseError(f"No database at {database}. Put the file there, or set DUOMI_DATABASE to where it is.")
    yield from with_whole_ids(query_file(database, QUERY, lock_wait))


def with_whole_ids(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows with whole numbers as ids, also where the columns are REAL or NUMERIC, as pandas and servers make them.

    The same row has the same prompt id in both, and none is bought again.
    """
    for row in rows:
        yield row if type(row[0]) is int and type(row[1]) is int else (_whole(row[0]), _whole(row[1]), *row[2:])


def _whole(value: object) -> object:
    if isinstance(value, float | Decimal) and math.isfinite(value):
        number, parts = value.as_integer_ratio()
        if parts == 1 and (isinstance(value, Decimal) or abs(number) < _MAX_EXACT):
            return number
    return value


def stamp_of(database: Path) -> str:
    """The state of an SQLite file and its log, another one after each change; empty where nobody can tell.

    A file that was changed a moment ago may be changed once more at the same time, as file systems count it.
    """
    state: list[object] = []
    database = database.resolve()  # beside it, not beside a link to it, lies its log
    for ending in ("", "-wal", "-journal"):
        path = side_file(database, ending)
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
    notes: list[Problem] = []
    unusable: dict[str, str] = {}
    for row in rows:
        origin, mark = f"prompts.id={row[0]}", mark_of(names, row)
        if known.is_unchanged(origin, mark):
            continue
        is_repeated, found = known.was_seen(origin), _prompt(row, names)
        if isinstance(found, Problem):
            problems.append(found)
            if _is_id(row[0]) and _is_written(row[2]):
                unusable[origin] = _prompt_id(row[0])
        elif is_repeated or found.id in prompts:
            problems.append(Problem(found.origin, "an earlier row has the same id"))
        else:
            known.see(origin)
            prompts[found.id], found_marks[found.id] = found, mark
            if row[1] is None:
                notes.append(Problem(origin, "image_id is NULL: its picture is shown beside no image"))
    gone = None if marks is None else tuple(known.gone())
    return Reading(
        tuple(prompts.values()),
        tuple(problems),
        frozenset(prompt_id for origin, prompt_id in unusable.items() if not known.was_seen(origin)),
        notes=tuple(notes),
        marks=found_marks,
        unchanged=known.unchanged,
        gone=gone,
    )


def _prompt(row: Row, names: str) -> Prompt | Problem:
    row_id, image_id, text, _, descriptive_name = row
    origin = f"prompts.id={row_id}"
    if row_id is None:
        return Problem(origin, "its id is NULL; give the row one")
    if not _is_id(row_id):
        return Problem(origin, f"its id is neither a whole number nor text but {type(row_id).__name__}")
    if text is None:
        return Problem(origin, "image_prompt is NULL")
    if isinstance(text, NotUtf8):
        return Problem(origin, "image_prompt is not UTF-8 text; write it as UTF-8")
    if problem := text_problem(text):
        return Problem(origin, f"image_prompt {problem}")
    name = descriptive_name.strip() if isinstance(descriptive_name, str) else ""
    return Prompt(
        id=_prompt_id(row_id),
        text=str(text),
        source="database",
        origin=origin,
        file_prefix=safe_prefix(f"db_{name if name and names == 'descriptive' else row_id}"),
        image_id=image_id if isinstance(image_id, int) else None,
        name=name or None,
    )


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and value != ""


def _prompt_id(row_id: object) -> str:
    return f"db_{safe_name(str(row_id), MAX_ID_LENGTH - len('db_'))}"


def _is_written(text: object) -> bool:
    """Whether a row's text is there, if not usable; a row without one is no prompt, as in the guide's query."""
    return bool(text.strip()) if isinstance(text, str) else text is not None
