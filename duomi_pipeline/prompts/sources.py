"""Both sources together, and the way a single prompt becomes a file of the second."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from duomi_pipeline.common.files import time_stamp
from duomi_pipeline.prompts.json_files import read_folder
from duomi_pipeline.prompts.overrides import Overrides, read_overrides
from duomi_pipeline.prompts.prompt import NoDatabaseError, Problem, Prompt, Reading, SourceError, file_prompt_id
from duomi_pipeline.prompts.table import Row, fetch_rows, table_prompts
from duomi_pipeline.settings import ParameterOverrides, Settings

FILE_MEMORY = "out/prompt_files.db"


@dataclass(frozen=True)
class Sources:
    """One look at all sources.

    Attributes:
        table, files: what each gave.
        unreadable: per source that failed as a whole (`"db_"` or `"json_"`, the prefix of its ids), why.
        absent: the same of a source that nobody said there is: no fault, yet no proof that its prompts are gone.
    """

    table: Reading
    files: Reading
    unreadable: Mapping[str, str]
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def unknown(self) -> Mapping[str, str]:
        """Per source whose prompts are not known now, why."""
        return {**self.unreadable, **self.absent}

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """All prompts: the table's rows by id, then the files by name."""
        return self.table.prompts + self.files.prompts

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that gave no prompt, whole sources first."""
        whole = tuple(Problem("source", reason) for reason in self.unreadable.values())
        return whole + self.table.problems + self.files.problems

    def why_absent(self, prompt_id: str) -> str:
        """Why an id is not among the prompts."""
        for prefix, reason in self.unknown.items():
            if prompt_id.startswith(prefix):
                return f"its source could not be read: {reason}"
        if prompt_id in self.files.present | self.table.present:
            return "its file or recorded override could not be read; see `duomi doctor`"
        return "there is no such prompt any more: its row or file is gone"

    def may_retire(self, prompt_id: str) -> bool:
        """Whether an id that is not among the prompts is really gone.

        A source that was not read, or gives no prompt at all, says nothing of any: its folder may not be mounted.
        """
        reading = self.table if prompt_id.startswith("db_") else self.files
        return bool(reading.prompts or reading.present) and prompt_id not in self.files.present | self.table.present


def read_sources(settings: Settings) -> Sources:
    """Look at the table and the folder; a source that cannot be read leaves the other one usable.

    Files are enough: a database is missed only where one was named, or where there are no files either.
    """
    unreadable: dict[str, str] = {}
    absent: dict[str, str] = {}
    table, files = Reading(), Reading()
    try:
        files = read_files(settings)
    except SourceError as error:
        unreadable["json_"] = str(error)
    try:
        table = read_table(settings, fetch_rows(settings.path(settings.database)))
    except NoDatabaseError as error:
        if "database" in settings.model_fields_set:
            unreadable["db_"] = str(error)
        elif files == Reading():
            unreadable["db_"] = f"{error} Or put JSON files in {settings.path(settings.prompt_dir)}."
        else:
            absent["db_"] = str(error)
    except SourceError as error:
        unreadable["db_"] = str(error)
    return Sources(table, files, unreadable, absent)


def read_table(settings: Settings, rows: Sequence[Row]) -> Reading:
    """The prompts of the table's rows, with what is recorded about them.

    Raises:
        SourceError: the recorded overrides cannot be read.
    """
    return _overrides(settings).applied_to(table_prompts(rows, settings.database_names))


def read_files(settings: Settings) -> Reading:
    """The prompts of the folder's files, with what is recorded about them.

    Raises:
        SourceError: the folder or the recorded overrides cannot be read.
    """
    return _overrides(settings).applied_to(
        read_folder(settings.path(settings.prompt_dir), memory=settings.path(FILE_MEMORY))
    )


def _overrides(settings: Settings) -> Overrides:
    return read_overrides(settings.path(settings.overrides_file))


def write_single_prompt(folder: Path, text: str, overrides: ParameterOverrides, now: datetime) -> str:
    """Keep a prompt of the command line as a JSON prompt file, so that it is tracked like all others.

    Returns its prompt id. What was said with it (seed, model, …) is kept as its overrides.

    Raises:
        ValueError: the text holds something that is no text.
    """
    content: dict[str, Any] = {"image_prompt": text}
    if said := overrides.explicit():
        content["generation"] = said
    data = json.dumps(content, ensure_ascii=False, indent=2).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"single_prompt_{time_stamp(now)}.json"
    with path.open("xb") as file:
        file.write(data)
    return file_prompt_id(path.stem)
