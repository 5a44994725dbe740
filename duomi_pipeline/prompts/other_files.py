"""Files beside the prompt files that may hold prompts, too, and folders: not read, but never passed over in silence.

A prompt's id is its file's name. In a list it would be a place: one more at its top, and all would be bought again.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from duomi_pipeline.prompts.prompt import Problem

OWN_FILE = 'each prompt needs a .json file of its own; docs/usage.md, "Prompts in other shapes", has the command'
_FOLDER = "/"
_MAY_HOLD_PROMPTS = {".jsonl", ".ndjson", ".json5", ".txt", ".md", ".csv", ".tsv", ".yaml", ".yml"}
_NOT_OURS = (".", "__", "README")  # hidden, made by other programs (`__MACOSX`), about the folder


class OtherFiles:
    """Collects them while a folder is read: one problem for each kind, however many there are."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, int]] = {}

    def see(self, name: str, *, is_folder: bool) -> None:
        """Note a name, unless it is of no concern: hidden files, pictures, what other programs write."""
        kind = _FOLDER if is_folder else PurePosixPath(name).suffix.lower()
        if (is_folder or kind in _MAY_HOLD_PROMPTS) and not name.startswith(_NOT_OURS):
            first, count = self._found.get(kind, (name, 0))
            self._found[kind] = min(first, name), count + 1

    def problems(self) -> Iterator[Problem]:
        """What was noted, by kind, folders last, and what to do about it."""
        for kind, (first, count) in sorted(self._found.items(), key=lambda found: (found[0] == _FOLDER, found[0])):
            what = "folder" if kind == _FOLDER else f"{kind} file"
            more = f" and {count - 1:,} more {what}{'s' if count > 2 else ''}" if count > 1 else ""
            advice = "move its files up, or set DUOMI_PROMPT_DIR to it" if kind == _FOLDER else OWN_FILE
            yield Problem(f"{first}{_FOLDER if kind == _FOLDER else ''}{more}", f"not read: {advice}")
