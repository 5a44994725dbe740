"""The results of a run as metadata of the manifest, so that Dagster's UI plots the numbers from run to run."""

from collections.abc import Sequence

import dagster as dg

from duomi_pipeline.engine import Outcome, Status
from duomi_pipeline.images.contact_sheet import contact_sheet
from duomi_pipeline.ledger import Money
from duomi_pipeline.orchestration.assets.failures import failures_table
from duomi_pipeline.orchestration.event_log.previews import markdown
from duomi_pipeline.reporting.receipt import Receipt, failed_prompts


def run_results(receipt: Receipt, outcomes: Sequence[Outcome], seconds: float) -> dict[str, dg.MetadataValue]:
    """Counts, time, money, failures and a contact sheet of one Dagster run."""
    made = [outcome for outcome in outcomes if outcome.status == Status.GENERATED]
    failed = failed_prompts(outcomes)
    metadata: dict[str, dg.MetadataValue] = {
        "run_generated": dg.MetadataValue.int(len(made)),
        "run_reused": dg.MetadataValue.int(sum(outcome.status == Status.REUSED for outcome in outcomes)),
        "run_failed": dg.MetadataValue.int(len(failed)),
        "run_not_reached": dg.MetadataValue.int(receipt.not_reached),
        "run_seconds": dg.MetadataValue.float(round(seconds, 2)),
    }
    if receipt.spent is not None:
        metadata[f"run_spent_{receipt.currency}"] = dg.MetadataValue.float(round(receipt.spent, 6))
    if failed:
        metadata["failures"] = failures_table(failed)
    if sheet := contact_sheet([outcome.thumbnail for outcome in made or outcomes if outcome.thumbnail]):
        metadata["contact_sheet"] = dg.MetadataValue.md(markdown(sheet, "contact sheet"))
    return metadata


def money_metadata(money: Money, currency: str) -> dict[str, dg.MetadataValue]:
    """The total spend; an unknown amount is left out, never 0."""
    metadata: dict[str, dg.MetadataValue] = {
        "pictures_billed": dg.MetadataValue.int(money.billed),
        "pictures_reused": dg.MetadataValue.int(money.reused),
        "maybe_billed_twice": dg.MetadataValue.int(money.maybe_billed),
    }
    amounts = money.amounts if money.amounts else {currency: money.spent}
    for name, spent in amounts.items():
        if spent is not None:
            metadata[f"spent_{name}"] = dg.MetadataValue.float(round(spent, 6))
    return metadata
