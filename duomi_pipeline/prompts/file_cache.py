"""Cache of prompt files: of unchanged files only names, times and sizes are read. Reading is in `json_files`.

In memory and in a SQLite file beside the results; deleting that costs one slow scan. Its errors never fail a run.
"""

import contextlib
import json
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from duomi_pipeline.common.places import shown
from duomi_pipeline.common.text import has_surrogates
from duomi_pipeline.prompts.folders import Seen
from duomi_pipeline.prompts.prompt import Prompt
from duomi_pipeline.settings import ParameterOverrides

# A file may be written twice within the resolution of its time: only files older than this are cached.
_SETTLED = 2.0  # seconds
_SCHEMA = """
CREATE TABLE IF NOT EXISTS prompt_files_v1 (
  folder TEXT, name TEXT, changed INTEGER, bytes INTEGER,
  id TEXT, text TEXT, source TEXT, origin TEXT, file_prefix TEXT, overrides TEXT,
  PRIMARY KEY (folder, name)
) WITHOUT ROWID
"""
_COLUMNS = "name, changed, bytes, id, text, source, origin, file_prefix, overrides"
_seen: dict[str, dict[str, "_Known"]] = {}  # by folder and name, for the life of the process


@dataclass(frozen=True, slots=True)
class _Known:
    """A cached prompt, with the stamp and size of its file when it was read."""

    changed: int
    bytes: int
    prompt: Prompt


class FileMemory:
    """The cache of one folder; use it as a context manager around one scan.

    Args:
        folder: of the prompt files, a path or an URL.
        database: SQLite file of the cache; `None`: in memory only.
    """

    def __init__(self, folder: Path | str, database: Path | None) -> None:
        self._folder, self._database = _name_of(folder), database
        self._known: Mapping[str, _Known] = {}
        self._found: dict[str, _Known] = {}

    def __enter__(self) -> Self:
        kept = _seen.get(self._folder)
        self._known = kept if kept is not None else dict(self._stored())
        return self

    def __exit__(self, *_: object) -> None:
        _seen[self._folder] = self._found
        self._store()

    def recall(self, seen: Seen, name: str) -> Prompt | None:
        """The cached prompt of a file that has not changed since it was read, else `None`."""
        known = self._known.get(name)
        if known is None or (known.changed, known.bytes) != (seen.stamp, seen.bytes):
            return None
        self._found[name] = known
        return known.prompt

    def keep(self, seen: Seen, name: str, prompt: Prompt) -> None:
        """Cache the prompt of a file; `seen` is its state before it was read."""
        if time.time() - seen.changed_at > _SETTLED and not has_surrogates(name):  # SQLite text is UTF-8
            self._found[name] = _Known(seen.stamp, seen.bytes, prompt)

    def _stored(self) -> Iterator[tuple[str, _Known]]:
        nothing = ParameterOverrides()
        with contextlib.suppress(sqlite3.Error, ValueError, OSError), self._opened() as database:
            rows = database.execute(f"SELECT {_COLUMNS} FROM prompt_files_v1 WHERE folder = ?", [self._folder])  # noqa: S608
            for name, changed, size, prompt_id, text, *others, overrides in rows:
                own = ParameterOverrides(**json.loads(overrides)) if overrides else nothing
                prompt = Prompt(sys.intern(prompt_id), text, *[*others, own])
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
            raise OSError("the cache is in memory only")
        self._database.parent.mkdir(parents=True, exist_ok=True)
        with _connected(self._database) as database:
            yield database


def of_other_folders(database: Path, folder: Path | str) -> tuple[int, int]:
    """The number of cached files of other folders, and about how many bytes they take."""
    with contextlib.suppress(sqlite3.Error, OSError):
        if database.is_file() and not database.is_symlink():
            with _connected(database) as connection:
                counts = "SELECT count(*) FILTER (WHERE folder <> ?), count(*) FROM prompt_files_v1"
                others, every = connection.execute(counts, [_name_of(folder)]).fetchone()
            return others, database.stat().st_size * others // every if every else 0
    return 0, 0


def forget_other_folders(database: Path, folder: Path | str) -> None:
    """Remove files of other folders from the cache; skipped while another process uses the database."""
    if of_other_folders(database, folder)[0]:
        with contextlib.suppress(sqlite3.Error), _connected(database) as connection:
            connection.execute("DELETE FROM prompt_files_v1 WHERE folder <> ?", [_name_of(folder)])
            connection.commit()
            connection.execute("VACUUM")


def _name_of(folder: Path | str) -> str:
    return str(folder.absolute()) if isinstance(folder, Path) else shown(folder)


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, timeout=1.0)) as database, database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute(_SCHEMA)
        yield database


def _row(folder: str, name: str, known: _Known) -> tuple[object, ...]:
    prompt, overrides = known.prompt, known.prompt.overrides.explicit()
    values = (prompt.id, prompt.text, prompt.source, prompt.origin, prompt.file_prefix)
    return (folder, name, known.changed, known.bytes, *values, json.dumps(overrides) if overrides else None)
