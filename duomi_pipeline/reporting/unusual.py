"""A warning before a run that costs more than usual. It stops nothing: caps do."""

from statistics import median

from duomi_pipeline.common.text import counted
from duomi_pipeline.ledger import Ledger
from duomi_pipeline.reporting.receipt import amount
from duomi_pipeline.settings import Settings

FEW = 20  # requests that are sent without asking, and that are never many times the usual
_LAST_RUNS = 10


def why_unusual(
    ledger: Ledger, settings: Settings, requests: int, pictures: int, cost: float | None, run_id: str | None = None
) -> str:
    """Why a run costs more than usual; empty if it does not, and where it is free.

    The usual cost is the median of the last runs that cost something. Where a price is unknown, pictures are compared.

    Args:
        requests, pictures, cost: what the run would send, buy and cost; `None`: a price is unknown.
        run_id: its own id, if it has one.
    """
    if cost == 0 or not requests:
        return ""
    price = amount(cost, settings.currency)
    if (most := settings.warn_spend_per_run) is not None:
        if cost is None:
            return f"The cost is {price}: DUOMI_WARN_SPEND_PER_RUN={most:g} cannot be checked."
        if cost > most:
            return f"This costs {price}, more than DUOMI_WARN_SPEND_PER_RUN={most:g}."
    factor = settings.warn_spend_factor
    if not factor or requests <= FEW:
        return ""
    last = ledger.spend.run_costs(_LAST_RUNS, run_id)
    amounts = [run.amount for run in last if run.amount is not None and run.currency == settings.currency]
    if cost is not None and amounts:
        usual, times = amount(median(amounts), settings.currency), cost / median(amounts)
        this, runs = f"This costs {price}", len(amounts)
    elif last:
        typical = median(run.pictures for run in last)
        usual, times = counted(round(typical), "picture"), pictures / typical
        this, runs = f"This buys {counted(pictures, 'picture')}", len(last)
    else:
        return ""
    if times <= factor:
        return ""
    median_of = "that of the last run" if runs == 1 else f"the median of the last {runs} runs"
    return f"{this}, {times:.3g} times the usual {usual} ({median_of}; DUOMI_WARN_SPEND_FACTOR={factor:g})."
