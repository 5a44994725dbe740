"""The observation of `generated_images` that says which pictures are not as their prompts and settings want them.

Dagster knows of each partition whether it is materialized; that a picture is outdated it shows on the partition's own
page alone. So whoever plans all prompts reports their states where they differ from what was last reported.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import dagster as dg

from duomi_pipeline.engine import Plan, PlannedPrompt, Session, State
from duomi_pipeline.ledger import Purchase
from duomi_pipeline.orchestration.links import gallery_address, partition_address
from duomi_pipeline.orchestration.markdown import cell, table
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY

_NAMED = 100  # prompts in the table; the gallery and the manifest have all
_TAG = "duomi/states"  # mark of what an observation says
# What a person may want to do something about comes first.
_ORDER = (
    State.FAILED_FOR_GOOD,
    State.CHANGED,
    State.OUTDATED,
    State.FAILED_FOR_NOW,
    State.UNKNOWN,
    State.MISSING,
)


def report_states(instance: dg.DagsterInstance, session: Session, plan: Plan) -> None:
    """Report the states of all prompts, unless the last report said the same.

    Args:
        instance: of Dagster.
        session: that made the plan.
        plan: of all prompts.
    """
    metadata = _metadata(session, plan)
    said = json.dumps({name: str(value.value) for name, value in metadata.items()}, sort_keys=True)
    mark = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    for last in instance.fetch_observations(IMAGES_KEY, limit=1).records:
        if last.asset_observation and last.asset_observation.tags.get(_TAG) == mark:
            return
    instance.report_runless_asset_event(dg.AssetObservation(IMAGES_KEY, metadata=metadata, tags={_TAG: mark}))


def _metadata(session: Session, plan: Plan) -> dict[str, dg.MetadataValue]:
    counts: dict[str, dg.MetadataValue] = {
        f"prompts_{state.value}": dg.MetadataValue.int(plan.counts[state]) for state in State
    }
    if plan.stop:
        counts["nothing_is_bought"] = dg.MetadataValue.text(f"{plan.stop.message} {plan.stop.advice}")
    there = [state for state in _ORDER if plan.counts[state]]
    if not there:
        return {**counts, "not_current": dg.MetadataValue.text("every picture is as it is wanted")}
    named = list(islice(_in_order(plan, there), _NAMED))
    chosen = {entry.selection.purchase_id for entry in named if entry.selection}
    made_by = session.ledger.purchases(chosen) if chosen else {}
    links = [f"[{state.value}]({gallery_address([state.value])}): {plan.counts[state]:,}" for state in there]
    every = f"[all in the gallery]({gallery_address([state.value for state in there])})"
    rows = [(_link(entry), entry.state.value, cell(_why(entry, made_by))) for entry in named]
    more = sum(plan.counts[state] for state in there) - len(named)
    rows += [(f"… and {more:,} more", "", "")] if more else []
    return {
        **counts,
        "look": dg.MetadataValue.md(f"{', '.join(links)}; {every}"),
        "not_current": dg.MetadataValue.md(table(("prompt", "state", "why"), rows)),
    }


def _in_order(plan: Plan, states: Sequence[State]) -> Iterator[PlannedPrompt]:
    for state in states:
        yield from (entry for entry in plan.entries if entry.state is state)


def _link(entry: PlannedPrompt) -> str:
    return f"[{cell(entry.prompt.id)}]({partition_address(entry.prompt.id)})"


def _why(entry: PlannedPrompt, made_by: Mapping[int, Purchase]) -> str:
    """Why a prompt is in its state."""
    match entry.state:
        case State.MISSING:
            return "its file is gone or cut short" if entry.selection else "no picture yet"
        case State.UNKNOWN:
            return entry.doubt
        case State.CHANGED | State.OUTDATED if entry.selection and entry.selection.purchase_id in made_by:
            made = made_by[entry.selection.purchase_id].content
            return _differences(made, entry.request.content) or "the picture was made from another request"
        case _:
            return (entry.purchase.error_message if entry.purchase else None) or ""


def _differences(made: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What differs between the request of a picture and the one that is wanted now: `model: A, now B`."""
    before = {"service": made["host_kind"], **made["body"]}
    after = {"service": wanted["host_kind"], **wanted["body"]}
    names = [name for name in before | after if before.get(name) != after.get(name)]
    told = [
        "another text" if name == "prompt" else f"{name}: {before.get(name, '–')}, now {after.get(name, '–')}"
        for name in names
    ]
    return "; ".join(told)
