"""Why the sensor `new_prompts` starts no run, as its page in the UI says it beside each look."""

from datetime import UTC, datetime

from duomi_pipeline.common.text import one_line, sentence
from duomi_pipeline.engine import Plan, State
from duomi_pipeline.engine.looking import Looked

_REASON = 200  # characters of a text from outside
# What the sensor leaves to a person, and how it is asked for.
_LEFT = {
    State.OUTDATED: "Outdated pictures are left to you: `duomi generate --outdated`, or a backfill.",
    State.FAILED_FOR_GOOD: "What failed for good is left to you: `duomi why ID`, then `duomi generate --failed`.",
    State.UNKNOWN: "Unknown prompts wait until their pictures can be looked at.",
}


def nothing_to_generate(plan: Plan, now: float) -> str:
    """The states of all prompts, what is left to a person, and when what failed for now is tried again.

    Args:
        plan: of all prompts.
        now: in seconds since 1970.
    """
    counts = ", ".join(f"{count} {state.value}" for state, count in plan.counts.items() if count) or "no prompts"
    said = [f"Nothing to generate: {counts}.", *(words for state, words in _LEFT.items() if plan.counts[state])]
    waiting = (entry for entry in plan.wanted([State.FAILED_FOR_NOW]) if not entry.is_due(now))
    later = [entry.purchase for entry in waiting if entry.purchase]
    if later:
        first = min(later, key=lambda purchase: purchase.retry_at or 0.0)
        at = datetime.fromtimestamp(first.retry_at or now, UTC).strftime("%H:%M:%S UTC")
        why = f": {one_line(first.error_message, _REASON)}" if first.error_message else ""
        said.append(sentence(f"The next try of what failed for now is due at {at}{why}"))
    return " ".join(said)


def not_read(looked: Looked) -> str:
    """What a look could not read or did not believe; empty where there is nothing of the kind."""
    if not looked.problems:
        return ""
    first, more = looked.problems[0], len(looked.problems) - 1
    others = f" (and {more:,} more in this tick's log)" if more else ""
    return f"Left out: {sentence(one_line(str(first), _REASON))}{others}"
