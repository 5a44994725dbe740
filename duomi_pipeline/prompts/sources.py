"""Both sources read together, and writing a single prompt file. Each source has a module: `table`, `json_files`."""

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

    def why_absent(self, prompt_id: str) -> str:
        """Why an id is not among the prompts."""
        for prefix, reason in self.unknown.items():
            if prompt_id.startswith(prefix):
                return f"its source cannot be read: {reason}"
        if prompt_id in self.files.present | self.table.present:
            return "its file or recorded override cannot be read; see `duomi doctor`"
        return "there is no such prompt any more: its row or file is gone"

    def may_retire(self, prompt_id: str) -> bool:
        """Whether an id that is not among the prompts is really gone.

        A source that was not read or gives no prompt at all proves nothing: its folder may not be mounted.
        """
        reading = self.table if prompt_id.startswith("db_") else self.files
        return bool(reading.prompts or reading.present) and prompt_id not in self.files.present | self.table.present


def read_sources(settings: Settings) -> Sources:
    """Read the table and the folder; if one cannot be read, the other is still usable.

    Files are enough: a missing database is an error only if the settings name one, or if there are no files.
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
    """The prompts of the table's rows, with recorded overrides applied.

    Raises:
        SourceError: the recorded overrides cannot be read.
    """
    return _overrides(settings).applied_to(table_prompts(rows, settings.database_names))


def read_files(settings: Settings) -> Reading:
    """The prompts of the folder's files, with recorded overrides applied.

    Raises:
        SourceError: the folder or the recorded overrides cannot be read.
    """
    return _overrides(settings).applied_to(
        read_folder(settings.path(settings.prompt_dir), memory=settings.path(FILE_MEMORY))
    )


def _overrides(settings: Settings) -> Overrides:
    return read_overrides(settings.path(settings.overrides_file))


def write_single_prompt(folder: Path, text: str, overrides: ParameterOverrides, now: datetime) -> str:
    """Save a single prompt as a JSON prompt file, so that it is tracked like all others. Returns its prompt id.

    Parameters given with it (seed, model, …) are saved as its own.

    Raises:
        ValueError: the text cannot be written as UTF-8.
    """
    content: dict[str, Any] = {"image_prompt": text}
    if own := overrides.explicit():
        content["generation"] = own
    data = json.dumps(content, ensure_ascii=False, indent=2).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"single_prompt_{time_stamp(now)}.json"
    with path.open("xb") as file:
        file.write(data)
    return file_prompt_id(path.stem)
