"""Both sources read together, and writing a single prompt file. Each source has a module: `table`, `json_files`."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from duomi_pipeline.common.files import time_stamp
from duomi_pipeline.common.places import shown
from duomi_pipeline.prompts.folders import add_to_url
from duomi_pipeline.prompts.json_files import read_folder
from duomi_pipeline.prompts.marks import Before, Marks, mark_of
from duomi_pipeline.prompts.overrides import Overrides, read_overrides
from duomi_pipeline.prompts.prompt import NoDatabaseError, Problem, Prompt, Reading, SourceError, file_prompt_id
from duomi_pipeline.prompts.sqlite_file import Row
from duomi_pipeline.prompts.table import read_rows, stamp_of, table_prompts
from duomi_pipeline.settings import ParameterOverrides, Settings


@dataclass(frozen=True)
class Sources:
    """The result of reading all sources once.

    Attributes:
        table, files: the result of each.
        unreadable: reason, by source (`"db_"` or `"json_"`, the prefix of its ids), if a whole source cannot be read.
        absent: the same for a source that is not configured and does not exist: no error, but its prompts may exist.
    """

    table: Reading
    files: Reading
    unreadable: Mapping[str, str]
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def unknown(self) -> Mapping[str, str]:
        """Reason, by source, why its prompts are not known now."""
        return {**self.unreadable, **self.absent}

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """All prompts: the table's rows by id, then the files by name."""
        return self.table.prompts + self.files.prompts

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All sources, rows and files without a usable prompt; whole sources first."""
        whole = tuple(Problem("source", reason) for reason in self.unreadable.values())
        return whole + self.table.problems + self.files.problems

    @property
    def notes(self) -> tuple[Problem, ...]:
        """Rows and files that are not as they should be, each with how it was read."""
        return self.table.notes + self.files.notes

    def why_absent(self, prompt_id: str) -> str:
        """Why an id is not among the prompts."""
        for prefix, reason in self.unknown.items():
            if prompt_id.startswith(prefix):
                return f"its source cannot be read: {reason}"
        if prompt_id in self.files.present | self.table.present:
            return "its row, file or recorded override cannot be read; see `duomi doctor`"
        return "there is no such prompt any more: its row or file is gone"

    def may_retire(self, prompt_id: str) -> bool:
        """Whether an id that is not among the prompts is really gone: not where its source was not read."""
        if any(prompt_id.startswith(prefix) for prefix in self.unknown):
            return False
        return prompt_id not in self.files.present | self.table.present


def read_sources(
    settings: Settings, table_before: Before | None = None, files_before: Before | None = None, stamp: str = ""
) -> Sources:
    """Read the table and the folder; if one cannot be read, the other is still usable.

    Files are enough: a missing database is an error only if the settings name one, or if there are no files.

    Args:
        settings: name both.
        table_before, files_before: what the register has of each: only what has changed is read. `None`: all is read.
        stamp: state of the table before that was asked: `table_stamp`.
    """
    unreadable: dict[str, str] = {}
    absent: dict[str, str] = {}
    table, files = Reading(), Reading()
    try:
        files = read_files(settings, _marks(files_before))
    except SourceError as error:
        unreadable["json_"] = str(error)
    try:
        table = _read_table(settings, table_before, stamp)
    except NoDatabaseError as error:
        if "database" in settings.model_fields_set:
            unreadable["db_"] = str(error)
        elif not files.prompts and not files.unchanged and not files.problems and not files.present:
            unreadable["db_"] = f"{error} Or put JSON files in {shown_folder(settings)}."
        else:
            absent["db_"] = str(error)
    except SourceError as error:
        unreadable["db_"] = str(error)
    return Sources(table, files, unreadable, absent)


def read_table(settings: Settings, rows: Iterable[Row], marks: Marks | None = None) -> Reading:
    """The prompts of the table's rows, with recorded overrides applied.

    Raises:
        SourceError: the recorded overrides cannot be read.
    """
    return recorded_overrides(settings).applied_to(table_prompts(rows, settings.database_names, marks))


def read_files(settings: Settings, marks: Marks | None = None) -> Reading:
    """The prompts of the folder's files, with recorded overrides applied.

    Raises:
        SourceError: the folder or the recorded overrides cannot be read.
    """
    return recorded_overrides(settings).applied_to(read_folder(prompt_folder(settings), marks=marks))


def own_prompt(settings: Settings, prompt_id: str) -> Prompt | None:
    """One prompt as its source says, without what is recorded for it; `None` if there is none.

    Raises:
        SourceError: its source cannot be read.
    """
    if prompt_id.startswith("db_"):
        reading = table_prompts(rows_of_table(settings), settings.database_names)
    else:
        reading = read_folder(prompt_folder(settings))
    return next((prompt for prompt in reading.prompts if prompt.id == prompt_id), None)


def rows_of_table(settings: Settings) -> Iterable[Row]:
    """All rows of the prompt table, from an SQLite file or a database server; errors also while they are read.

    Raises:
        NoDatabaseError: no such file.
        SourceError: it cannot be read.
    """
    if isinstance(settings.database, Path):
        return read_rows(settings.path(settings.database))
    # Imported here: it needs SQLAlchemy, which takes longer to import than a file takes to read.
    from duomi_pipeline.prompts.server_table import fetch_rows_of_server  # noqa: PLC0415

    return fetch_rows_of_server(settings.database.get_secret_value(), settings.home)


def prompt_folder(settings: Settings) -> Path | str:
    """The folder of JSON files: an absolute path, or an fsspec URL."""
    place = settings.prompt_dir
    return place if isinstance(place, str) else settings.path(place)


def shown_folder(settings: Settings) -> str:
    """The folder of JSON files, for people."""
    return shown(str(prompt_folder(settings)))


def shown_database(settings: Settings) -> str:
    """The prompt table's database, for people: of an address neither user nor password."""
    if isinstance(settings.database, Path):
        return str(settings.path(settings.database))
    parts = urlsplit(settings.database.get_secret_value())
    return f"{parts.scheme.partition('+')[0]}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def recorded_overrides(settings: Settings) -> Overrides:
    """The recorded overrides of single prompts.

    Raises:
        SourceError: the file cannot be read.
    """
    return read_overrides(settings.path(settings.overrides_file))


def _read_table(settings: Settings, before: Before | None, stamp: str) -> Reading:
    """The table, unless its file is as it was; then nothing of it is read."""
    if before is not None and stamp and stamp == before.stamp:
        return Reading((), before.problems, stamp=stamp, unchanged=before.prompts, gone=(), is_as_before=True)
    return replace(read_table(settings, rows_of_table(settings), _marks(before)), stamp=stamp)


def table_stamp(settings: Settings) -> str:
    """State of everything that the table's prompts are made of; empty where nobody can tell."""
    if not isinstance(settings.database, Path):
        return ""
    database = settings.path(settings.database)
    with contextlib.suppress(OSError):
        overrides = settings.path(settings.overrides_file)
        recorded = overrides.read_bytes() if overrides.exists() else b""
        if stamp := stamp_of(database):
            return str(mark_of(str(database), stamp, settings.database_names, recorded))
    return ""


def _marks(before: Before | None) -> Marks | None:
    known = before.marks() if before is not None else None
    return None if known is None else Marks(known)


def write_single_prompt(folder: Path | str, text: str, overrides: ParameterOverrides, now: datetime) -> str:
    """Save a single prompt as a JSON prompt file, so that it is tracked like all others. Returns its prompt id.

    Parameters given with it (seed, model, …) are saved as its own.

    Args:
        folder: of the prompt files; a path or an fsspec URL.
        text: what to draw.
        overrides: its own parameters.
        now: for the file's name.

    Raises:
        ValueError: the text cannot be written as UTF-8.
        FileExistsError: there is a file of this millisecond.
        SourceError: an URL cannot be written to.
    """
    content: dict[str, Any] = {"image_prompt": text}
    if own := overrides.explicit():
        content["generation"] = own
    data = json.dumps(content, ensure_ascii=False, indent=2).encode()
    name = f"single_prompt_{time_stamp(now)}.json"
    if isinstance(folder, str):
        add_to_url(folder, name, data)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("xb") as file:
            file.write(data)
    return file_prompt_id(name.removesuffix(".json"))
