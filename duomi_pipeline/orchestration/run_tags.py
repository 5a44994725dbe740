"""What Dagster's list of runs says of an image run: how it was started, and what became of it.

The list shows a run's own tags beside its id, about 34 characters of each; those of Dagster (`dagster/…`) it hides.
"""

import dagster as dg

from duomi_pipeline.engine import Outcome, Status
from duomi_pipeline.orchestration.partition_ranges import ledger_run
from duomi_pipeline.reporting.receipt import Receipt, amount
from duomi_pipeline.settings import SANDBOX

FROM, PICTURES, FAILED, COST = "duomi/from", "duomi/pictures", "duomi/failed", "duomi/cost"
COMMAND_TAG = "duomi/command"  # the same for all runs that one command put into the queue
_WORDS = {"cli": "command line", "ui": "UI"}


def trigger_of(run: dg.DagsterRun) -> str:
    """What started a run, as the ledger has it: `cli`, `sensor`, `schedule` or `ui`."""
    if ledger_run(run) != run.run_id:
        return "cli"
    if run.parent_run_id is not None:  # started again by a person; Dagster copies the tags of the first run
        return "ui"
    if COMMAND_TAG in run.tags:
        return "cli"
    if "dagster/sensor_name" in run.tags:
        return "sensor"
    return "schedule" if "dagster/schedule_name" in run.tags else "ui"


def tags_at_start(run: dg.DagsterRun) -> dict[str, str]:
    """The tags of a run that begins; where it was started again, they replace those of the first run."""
    trigger = trigger_of(run)
    # A tag cannot be taken back, and a run that is killed has no end to say anything at: it says nothing of its own.
    return {FROM: _WORDS.get(trigger, trigger)} | {name: "–" for name in (PICTURES, FAILED, COST) if name in run.tags}


def tags_at_end(receipt: Receipt, outcomes: list[Outcome]) -> dict[str, str]:
    """The tags of a run that ends: pictures, failures where there are any, and cost where the service is paid.

    What failed may have cost something, too: the cost is what the ledger has of the run.
    """
    new, reused = (
        sum(len(outcome.files) for outcome in outcomes if outcome.status == status)
        for status in (Status.GENERATED, Status.REUSED)
    )
    counts = {"new": new, "reused": reused}
    tags = {PICTURES: ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "none"}
    failed = {"": len(receipt.failures), " not reached": receipt.not_reached}
    if any(failed.values()):
        tags[FAILED] = ", ".join(f"{count:,}{word}" for word, count in failed.items() if count)
    if receipt.service != SANDBOX and (new or receipt.maybe_billed or receipt.spent != 0):
        tags[COST] = _cost(receipt.spent, receipt.currency)
        if receipt.maybe_billed:
            tags[COST] += f", maybe {_cost(receipt.maybe_spent, receipt.currency)} more"
    return tags


def _cost(price: float | None, currency: str) -> str:
    return "unknown" if price is None else amount(price, currency)
