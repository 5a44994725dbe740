"""Why the sensor `new_prompts` starts no run, as its page in the UI says it beside each look."""

from datetime import UTC, datetime

from duomi_pipeline.common.text import counted, one_line, sentence
from duomi_pipeline.engine import Plan, State
from duomi_pipeline.engine.looking import Looked

_REASON = 200  # characters of a text from outside
# What the sensor leaves to a person, and how it is asked for.
_LEFT = {
    State.OUTDATED: "Outdated pictures are left to you: `duomi generate --outdated`, or a backfill.",
    State.FAILED_FOR_GOOD: "What failed for good is left to you: edit it, or `duomi generate --failed`, or a backfill.",
    State.UNKNOWN: "Unknown prompts wait until their pictures can be looked at.",
}


def nothing_to_generate(plan: Plan, now: float) -> str:
    """The states of all prompts, when what failed for now is tried again, and what is left to a person.

    What happens by itself comes first: of a long reason the page shows no more than its beginning until it is clicked.

    Args:
        plan: of all prompts.
        now: in seconds since 1970.
    """
    counts = ", ".join(f"{count} {state.value}" for state, count in plan.counts.items() if count) or "no prompts"
    said = [f"Nothing to generate: {counts}."]
    waiting = (entry for entry in plan.wanted([State.FAILED_FOR_NOW]) if not entry.is_due(now))
    later = [entry.purchase for entry in waiting if entry.purchase]
    if later:
        first = min(later, key=lambda purchase: purchase.retry_at or 0.0)
        at = _clock(first.retry_at or now)
        why = f": {one_line(first.error_message, _REASON)}" if first.error_message else ""
        said.append(sentence(f"The next try of what failed for now is due at {at}{why}"))
    return " ".join([*said, *(words for state, words in _LEFT.items() if plan.counts[state])])


def waiting_after_stop(count: int, message: str | None, until: float) -> str:
    """Why prompts wait after a run that was stopped, until when, and what need not wait.

    Args:
        count: of the prompts.
        message: why the run was stopped.
        until: when the sensor starts runs again, in seconds since 1970.
    """
    why = f" {sentence(message)}" if message else ""
    return (
        f"{counted(count, 'prompt')} waiting until {_clock(until)}, because the last run was stopped.{why} "
        "A run that you start does not wait."
    )


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S UTC")


def not_read(looked: Looked) -> str:
    """What a look could not read or did not believe; empty where there is nothing of the kind."""
    if not looked.problems:
        return ""
    first, more = looked.problems[0], len(looked.problems) - 1
    others = f" (and {more:,} more in this tick's log)" if more else ""
    return f"Left out: {sentence(one_line(str(first), _REASON))}{others}"
