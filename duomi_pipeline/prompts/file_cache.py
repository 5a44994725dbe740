"""What was read from prompt files that have not changed since: a look at 100,000 of them reads names and times only.

A cache, in memory and in a SQLite file beside the results; deleting it costs one slow look. Never a reason to fail.
"""

import contextlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from duomi_pipeline.common.text import has_surrogates
from duomi_pipeline.prompts.prompt import Prompt
from duomi_pipeline.settings import ParameterOverrides

# A file may be written twice within the resolution of its time: only one that has settled is remembered.
_SETTLED = 2.0  # seconds
_SCHEMA = """
CREATE TABLE IF NOT EXISTS prompt_files_v1 (
  folder TEXT, name TEXT, changed INTEGER, bytes INTEGER,
  id TEXT, text TEXT, source TEXT, origin TEXT, file_prefix TEXT, overrides TEXT,
  PRIMARY KEY (folder, name)
) WITHOUT ROWID
"""
_COLUMNS = "name, changed, bytes, id, text, source, origin, file_prefix, overrides"
_seen: dict[str, dict[str, "_Known"]] = {}  # by folder and name, as long as the process lives


@dataclass(frozen=True, slots=True)
class _Known:
    """A prompt, and the time (nanoseconds) and size of the file when it was read."""

    changed: int
    bytes: int
    prompt: Prompt


class FileMemory:
    """What is known of one folder; use it as a context manager around one look.

    Args:
        folder: of the prompt files.
        database: where it is kept; `None` keeps it in this process alone.
    """

    def __init__(self, folder: Path, database: Path | None) -> None:
        self._folder, self._database = str(folder.absolute()), database
        self._known: Mapping[str, _Known] = {}
        self._found: dict[str, _Known] = {}

    def __enter__(self) -> Self:
        kept = _seen.get(self._folder)
        self._known = kept if kept is not None else dict(self._stored())
        return self

    def __exit__(self, *_: object) -> None:
        _seen[self._folder] = self._found
        self._store()

    def recall(self, entry: os.stat_result, name: str) -> Prompt | None:
        """The prompt of a file that has not changed since it was read, `None` of any other."""
        known = self._known.get(name)
        if known is None or (known.changed, known.bytes) != (entry.st_mtime_ns, entry.st_size):
            return None
        self._found[name] = known
        return known.prompt

    def keep(self, entry: os.stat_result, name: str, prompt: Prompt) -> None:
        """Remember what was read from a file that looked like this before it was read."""
        if time.time() - entry.st_mtime > _SETTLED and not has_surrogates(name):  # a database takes UTF-8 alone
            self._found[name] = _Known(entry.st_mtime_ns, entry.st_size, prompt)

    def _stored(self) -> Iterator[tuple[str, _Known]]:
        nothing = ParameterOverrides()
        with contextlib.suppress(sqlite3.Error, ValueError, OSError), self._opened() as database:
            rows = database.execute(f"SELECT {_COLUMNS} FROM prompt_files_v1 WHERE folder = ?", [self._folder])  # noqa: S608
            for name, changed, size, prompt_id, text, *others, overrides in rows:
                said = ParameterOverrides(**json.loads(overrides)) if overrides else nothing
                prompt = Prompt(sys.intern(prompt_id), text, *[*others, said])
                yield name, _Known(changed, size, prompt)

    def _store(self) -> None:
        changed = [(name, known) for name, known in self._found.items() if self._known.get(name) is not known]
        gone = [(self._folder, name) for name in self._known.keys() - self._found.keys()]
        if not changed and not gone:
            return
        with contextlib.suppress(sqlite3.Error, ValueError, OSError), self._opened() as database:
            database.executemany("DELETE FROM prompt_files_v1 WHERE folder = ? AND name = ?", gone)
            rows = (_row(self._folder, name, known) for name, known in changed)
            database.executemany(f"REPLACE INTO prompt_files_v1 (folder, {_COLUMNS}) VALUES ({'?, ' * 9}?)", rows)  # noqa: S608

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if self._database is None:
            raise OSError("kept in this process alone")
        self._database.parent.mkdir(parents=True, exist_ok=True)
        with _connected(self._database) as database:
            yield database


def of_other_folders(database: Path, folder: Path) -> tuple[int, int]:
    """How many files of other folders are remembered, and about how many bytes that takes."""
    with contextlib.suppress(sqlite3.Error, OSError):
        if database.is_file() and not database.is_symlink():
            with _connected(database) as connection:
                counts = "SELECT count(*) FILTER (WHERE folder <> ?), count(*) FROM prompt_files_v1"
                others, every = connection.execute(counts, [str(folder.absolute())]).fetchone()
            return others, database.stat().st_size * others // every if every else 0
    return 0, 0


def forget_other_folders(database: Path, folder: Path) -> None:
    """Forget the files of other folders; left as it is where another process uses the database."""
    if of_other_folders(database, folder)[0]:
        with contextlib.suppress(sqlite3.Error), _connected(database) as connection:
            connection.execute("DELETE FROM prompt_files_v1 WHERE folder <> ?", [str(folder.absolute())])
            connection.commit()
            connection.execute("VACUUM")


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, timeout=1.0)) as database, database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute(_SCHEMA)
        yield database


def _row(folder: str, name: str, known: _Known) -> tuple[object, ...]:
    prompt, said = known.prompt, known.prompt.overrides.explicit()
    values = (prompt.id, prompt.text, prompt.source, prompt.origin, prompt.file_prefix)
    return (folder, name, known.changed, known.bytes, *values, json.dumps(said) if said else None)
