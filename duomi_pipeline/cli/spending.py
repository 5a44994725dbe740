"""`duomi status --spend`: what was spent by day, model and source. It reads the ledger alone."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

from duomi_pipeline.cli.console import print_json, say, today
from duomi_pipeline.cli.progress import announce_if_slow
from duomi_pipeline.common.text import counted, one_line
from duomi_pipeline.ledger import DaySpend, Ledger
from duomi_pipeline.reporting.spending import Spent, by_day, by_model_and_source
from duomi_pipeline.settings import Settings

_BAR = 30  # characters of the day on which most was spent
_MAX_NAME = 100


def print_spending(settings: Settings, days: int, *, as_json: bool) -> None:
    """Print what was sent in so many days of UTC, today the last of them."""
    since = datetime.fromtimestamp(today(), UTC).date() - timedelta(days=days - 1)
    begin = datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp()
    with (
        announce_if_slow("Adding up"),
        closing(Ledger(settings.ledger_url.get_secret_value(), settings.home)) as ledger,
    ):
        rows = ledger.spend.by_day(begin)
    if as_json:
        print_json(
            {
                "since": since.isoformat(),
                "total": vars(Spent.of(rows)),
                "days": {day.isoformat(): vars(Spent.of(some)) for day, some in by_day(rows).items()},
                "rows": [_row(row) for row in rows],
            }
        )
        return
    most = _most(rows, settings.currency)
    for day, of_day in by_day(rows).items():
        say(f"{day}  {_bar(of_day, settings.currency, most)}{Spent.of(of_day)}")
        for (model, source), some in by_model_and_source(of_day).items():
            say(f"    {one_line(model, _MAX_NAME)}, {source}: {Spent.of(some)}", indent=6)
    say(f"In {counted(days, 'day')}: {Spent.of(rows)}")


def _row(row: DaySpend) -> dict[str, object]:
    return {
        "day": row.day.isoformat(),
        "model": row.model,
        "source": row.source,
        "sandbox": row.is_sandbox,
        "billing": row.bill.billing.value,
        "requests": row.bill.posts,
        "pictures": row.bill.pictures,
        "amount": row.bill.amount,
        "currency": row.bill.currency,
        "unpriced": row.bill.unpriced,
    }


def _spent(rows: Sequence[DaySpend], currency: str) -> float:
    return Spent.of(rows).amounts.get(currency, 0.0)


def _most(rows: Sequence[DaySpend], currency: str) -> float:
    return max((_spent(some, currency) for some in by_day(rows).values()), default=0.0)


def _bar(rows: Sequence[DaySpend], currency: str, most: float) -> str:
    """A bar as long as what was spent in the settings' currency; in characters that every terminal has."""
    if not most:
        return ""
    return f"{'#' * round(_BAR * _spent(rows, currency) / most):<{_BAR}}  "
