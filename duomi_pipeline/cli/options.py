"""The options of one `duomi generate`, parsed from its flags."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from duomi_pipeline.engine import GENERATED_BY_ITSELF, State
from duomi_pipeline.settings import ParameterOverrides

Source = Literal["sqlite", "json", "prompt"]


@dataclass(frozen=True)
class Options:
    """Which prompts are generated, and how.

    Attributes:
        source: the only source to use; `None`: both.
        text: what to draw, for the source `prompt`.
        limit: only the first prompts of the source.
        ids: only these prompts; empty: all.
        parameters: of this run; they override the settings.
        reroll: a marks file that the gallery exported.
        outdated, failed, force: also prompts in these states.
        max_images: most pictures to buy.
        other_folder: the JSON files are in a folder that was named for this command alone.
        regenerate_lost: also buy pictures again that are lost with their folder.
        dry_run: only print what would be done.
        yes: do not ask for confirmation before many paid requests.
        launch: leave the work to the workers of the Dagster instance.
        wait: with `launch`, until the last of its runs has ended.
    """

    source: Source | None
    text: str | None
    limit: int | None
    ids: tuple[str, ...]
    parameters: ParameterOverrides
    reroll: Path | None
    outdated: bool
    failed: bool
    force: bool
    max_images: int | None
    other_folder: bool
    regenerate_lost: bool
    dry_run: bool
    yes: bool
    launch: bool
    wait: bool
    as_json: bool

    @property
    def are_of_all(self) -> bool:
        """Whether they are about all prompts, and need no more of the current ones than their number.

        A dry run looks without recording: the register may not have what it found.
        """
        return (
            not (self.source or self.ids or self.limit is not None or self.force or self.reroll or self.other_folder)
            and not self.as_json
            and not self.dry_run
        )

    @property
    def states(self) -> frozenset[State]:
        """Prompts in these states are generated."""
        states = set(GENERATED_BY_ITSELF)
        if self.outdated:
            states.add(State.OUTDATED)
        if self.failed:
            states |= {State.FAILED_FOR_NOW, State.FAILED_FOR_GOOD}
        return frozenset(State) if self.force else frozenset(states)
