"""Which prompts may describe no picture, named before they are bought: every door says it in the same words."""

from collections.abc import Iterable

from duomi_pipeline.common.text import safe
from duomi_pipeline.engine import PlannedPrompt
from duomi_pipeline.engine.prompt_request import doubts_about

_MAX_NAMED = 50


def named_doubts(wanted: Iterable[PlannedPrompt]) -> list[str]:
    """A line for each doubt about a text that would be sent, such as a refusal of a language model; the first ones."""
    found = [(entry.prompt.id, doubt) for entry in wanted for doubt in doubts_about(entry.request)]
    lines = [safe(f"No picture? {prompt_id}: {doubt.text}") for prompt_id, doubt in found[:_MAX_NAMED]]
    if len(found) > _MAX_NAMED:
        lines.append(f"… and {len(found) - _MAX_NAMED} more: `duomi lint` names all")
    return lines
