"""Prompts that a script says: kept as single prompt files, and found again when the same is said again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from duomi_pipeline.prompts.json_files import read_folder
from duomi_pipeline.prompts.overrides import read_overrides
from duomi_pipeline.prompts.prompt import Prompt, Reading, text_problem
from duomi_pipeline.prompts.sources import FILE_MEMORY, write_single_prompt
from duomi_pipeline.settings import ParameterOverrides, Settings


def save_single_prompt(settings: Settings, text: str, said: ParameterOverrides) -> Prompt:
    """The single prompt of this text and these parameters: that of the file that there is, else of a new one.

    Raises:
        ValueError: it is no text, or one that cannot be kept.
        OSError, SourceError: the folder or the recorded overrides cannot be read or written.
    """
    if problem := text_problem(text):
        raise ValueError(f"it {problem}")
    kept = _said_before(settings, text, said)
    if kept is None:
        _write(settings.path(settings.prompt_dir), text, said)
        kept = _said_before(settings, text, said)
    if kept is None:
        raise ValueError("its file cannot be read as it was written; see `duomi doctor`")
    reading = read_overrides(settings.path(settings.overrides_file)).applied_to(Reading((kept,)))
    if reading.problems:
        raise ValueError(str(reading.problems[0]))
    return reading.prompts[0]


def _said_before(settings: Settings, text: str, said: ParameterOverrides) -> Prompt | None:
    reading = read_folder(settings.path(settings.prompt_dir), memory=settings.path(FILE_MEMORY))
    singles = (prompt for prompt in reading.prompts if prompt.source == "single_prompt")
    return next((p for p in singles if p.text == text and p.overrides.explicit() == said.explicit()), None)


def _write(folder: Path, text: str, said: ParameterOverrides) -> None:
    """Write it under the first free millisecond: other threads and processes keep prompts, too."""
    now = datetime.now(UTC)
    while True:
        try:
            write_single_prompt(folder, text, said, now)
        except FileExistsError:
            now += timedelta(milliseconds=1)
        else:
            return
