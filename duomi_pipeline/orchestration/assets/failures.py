"""How a run that did not bring every picture fails: by name, with the reason and what to do next."""

from collections.abc import Mapping, Sequence

import dagster as dg

from duomi_pipeline.engine import Outcome, PlannedPrompt, Stop
from duomi_pipeline.prompts import Prompt

_NAMED = 20  # failures in the text; the metadata table has all
_MAX_ROWS = 500


def failure(
    outcomes: Sequence[Outcome],
    remaining: Sequence[Prompt],
    left: Sequence[PlannedPrompt],
    unknown: Mapping[str, str],
    stop: Stop | None,
) -> dg.Failure | None:
    """The failure of a run, `None` if every picture is there.

    Args:
        outcomes: of all prompts that were reached.
        remaining: prompts that were not.
        left: prompts without a picture that the run was not to generate.
        unknown: partitions without a prompt, and why.
        stop: why the run ended early.
    """
    failed = [(o.prompt.id, str(o.failure)) for o in outcomes if o.failure is not None]
    failed += [(entry.prompt.id, _why_left(entry)) for entry in left]
    failed += list(unknown.items())
    if not failed and not remaining:
        return None
    good = sum(outcome.failure is None for outcome in outcomes)
    lines = [f"{good} pictures are there, {len(failed)} failed, {len(remaining)} were not reached."]
    if stop is not None:
        lines.append(stop.message)
    lines += [f"- {key}: {reason}" for key, reason in failed[:_NAMED]]
    if len(failed) > _NAMED:
        lines.append(f"… and {len(failed) - _NAMED} more: see the table `failures`.")
    columns = [dg.TableColumn("prompt_id"), dg.TableColumn("reason")]
    rows = [dg.TableRecord({"prompt_id": key, "reason": reason}) for key, reason in failed[:_MAX_ROWS]]
    metadata = {
        "failed": dg.MetadataValue.int(len(failed)),
        "not_reached": dg.MetadataValue.int(len(remaining)),
        "failures": dg.MetadataValue.table(rows, dg.TableSchema(columns)),
    }
    # Retries are the engine's, by error class: a second layer of them would multiply the cost.
    return dg.Failure("\n".join(lines), metadata=metadata, allow_retries=False)


def _why_left(entry: PlannedPrompt) -> str:
    reason = entry.purchase.error_message if entry.purchase else None
    return f"left as it is ({entry.state.value}){f': {reason}' if reason else ''}"
