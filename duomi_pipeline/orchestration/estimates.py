"""What runs cost and how long they take, in the log of a run or of a sensor's tick, before anything is sent."""

from collections.abc import Collection, Sequence

import dagster as dg

from duomi_pipeline.engine import Plan, Session, State
from duomi_pipeline.engine.plan import requests_to_buy
from duomi_pipeline.orchestration.partition_ranges import RANGE_END, RANGE_START
from duomi_pipeline.reporting.estimate import Estimate, estimate


def tell_estimate(context: dg.AssetExecutionContext | dg.SensorEvaluationContext, estimated: Estimate) -> None:
    """Log an estimate, and as a warning that it is more than usual."""
    for line in estimated.as_lines():
        context.log.info(line)
    if estimated.warning:
        context.log.warning(estimated.warning)


def estimate_runs(
    session: Session, plan: Plan, runs: Sequence[dg.RunRequest], order: Sequence[str], states: Collection[State]
) -> Estimate:
    """What the runs of one tick cost together, and how long they take one after the other.

    Args:
        runs: over ranges of partitions.
        order: all partitions, in Dagster's order.
        states: those that they generate.
    """
    place = {key: index for index, key in enumerate(order)}
    here = {key for run in runs for key in order[place[run.tags[RANGE_START]] : place[run.tags[RANGE_END]] + 1]}
    entries = plan.wanted(states, here)
    return estimate(session.ledger, session.settings, list(requests_to_buy(entries).values()), runs=len(runs))
