"""What a `duomi generate` is to do, as its flags say it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from duomi_pipeline.engine import GENERATED_BY_ITSELF, State
from duomi_pipeline.settings import ParameterOverrides

Source = Literal["sqlite", "json", "prompt"]


@dataclass(frozen=True)
class Options:
    """What is to be generated, and how.

    Attributes:
        source: the only source that counts, `None`: both.
        text: with the source `prompt`, what to draw.
        limit: only the first prompts of the source.
        ids: only these prompts, where there are any.
        parameters: of this run, over the settings'.
        reroll: a file of marks from the gallery.
        outdated, failed, force: prompts in which states, too.
        max_images: pictures that may be bought.
        regenerate_lost: buy again also pictures that are lost with their folder.
        dry_run: only say what would be done.
        yes: do not ask before many paid requests.
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
    regenerate_lost: bool
    dry_run: bool
    yes: bool
    as_json: bool

    @property
    def states(self) -> frozenset[State]:
        """Prompts in which states are generated."""
        states = set(GENERATED_BY_ITSELF)
        if self.outdated:
            states.add(State.OUTDATED)
        if self.failed:
            states |= {State.FAILED_FOR_NOW, State.FAILED_FOR_GOOD}
        return frozenset(State) if self.force else frozenset(states)
