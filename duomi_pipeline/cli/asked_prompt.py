"""What the argument of `duomi why` means: a prompt id, a prompt file, a picture, a row or file without a prompt."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePath

import click

from duomi_pipeline.engine import Session
from duomi_pipeline.images.metadata import read_info
from duomi_pipeline.prompts.prompt import MAX_ID_LENGTH, file_prompt_id, former_file_prompt_id, safe_name
from duomi_pipeline.prompts.sources import Sources

_ROW = "prompts.id="


@dataclass(frozen=True)
class Asked:
    """The prompt that is meant.

    Attributes:
        left_out: why its row or file gives no prompt now, `None` if it does.
    """

    prompt_id: str
    left_out: str | None = None


def asked_prompt(argument: str, session: Session, sources: Sources) -> Asked:
    """The prompt that an argument names.

    Raises:
        click.UsageError: it names none.
    """
    argument = unicodedata.normalize("NFC", argument) if argument.startswith("json_") else argument
    name = PurePath(argument).name
    for prompt in sources.prompts:
        if argument in (prompt.id, prompt.origin) or name == prompt.origin:
            return Asked(prompt.id)
    for problem in sources.problems:
        ids = _ids_of(problem.origin)
        if name == problem.origin or argument in ids:
            known = session.ledger.known_ids(ids)
            return Asked(next((one for one in ids if one in known), ids[-1]), problem.reason)
    found = _shown_in(argument, session) if name.lower().endswith(".png") else argument
    if found and (session.ledger.pictures_of(found) or any(prompt.id == found for prompt in sources.prompts)):
        return Asked(found)
    raise click.UsageError(
        f"There is no prompt {argument}. `duomi plan --json` lists ids; a file or picture has its own name."
    )


def _ids_of(origin: str) -> list[str]:
    """The ids that a row or file has, or would have: a former one first."""
    if origin.startswith(_ROW):
        return [f"db_{safe_name(origin.removeprefix(_ROW), MAX_ID_LENGTH - len('db_'))}"]
    stem = PurePath(origin).stem
    return [former_file_prompt_id(stem), file_prompt_id(stem)]


def _shown_in(argument: str, session: Session) -> str | None:
    """The prompt of a picture: as the ledger knows it, else as the file itself says."""
    if found := session.ledger.prompt_of(PurePath(argument).name):
        return found
    try:
        info = read_info(Path(argument).read_bytes())
    except OSError:
        return None
    return info.prompt_id if info else None
