"""Single prompts of scripts and the command line, saved as JSON files; the same prompt again uses the same file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from duomi_pipeline.prompts.json_files import SINGLE_PROMPT, read_folder
from duomi_pipeline.prompts.overrides import read_overrides
from duomi_pipeline.prompts.prompt import Prompt, Reading, text_problem
from duomi_pipeline.prompts.sources import prompt_folder, write_single_prompt
from duomi_pipeline.settings import ParameterOverrides, Settings


def save_single_prompt(settings: Settings, text: str, parameters: ParameterOverrides) -> Prompt:
    """The single prompt with this text and these parameters, from an existing file or a new one.

    Raises:
        ValueError: the text is not valid or cannot be saved.
        OSError, SourceError: the folder or the recorded overrides cannot be read or written.
    """
    if problem := text_problem(text):
        raise ValueError(f"it {problem}")
    kept = _existing(settings, text, parameters)
    if kept is None:
        _write(prompt_folder(settings), text, parameters)
        kept = _existing(settings, text, parameters)
    if kept is None:
        raise ValueError("the saved file cannot be read back; see `duomi doctor`")
    reading = read_overrides(settings.path(settings.overrides_file)).applied_to(Reading((kept,)))
    if reading.problems:
        raise ValueError(str(reading.problems[0]))
    return reading.prompts[0]


def _existing(settings: Settings, text: str, parameters: ParameterOverrides) -> Prompt | None:
    singles = read_folder(prompt_folder(settings), names=SINGLE_PROMPT).prompts
    return next((p for p in singles if p.text == text and p.overrides.explicit() == parameters.explicit()), None)


def _write(folder: Path | str, text: str, parameters: ParameterOverrides) -> None:
    """Write the file under the first free millisecond: other threads and processes write files, too."""
    now = datetime.now(UTC)
    while True:
        try:
            write_single_prompt(folder, text, parameters, now)
        except FileExistsError:
            now += timedelta(milliseconds=1)
        else:
            return
