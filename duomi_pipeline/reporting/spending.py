"""What was spent by day, model and source: sums of what the ledger has, and their words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from math import fsum
from typing import Self

from duomi_pipeline.common.text import counted
from duomi_pipeline.ledger import Billing, DaySpend
from duomi_pipeline.reporting.receipt import amount

UNKNOWN_MODEL = "unknown model"
_SOURCES: Mapping[str | None, str] = {
    "database": "prompt table",
    "json": "JSON files",
    "single_prompt": "single prompts",
    "probe": "duomi models --probe",
    None: "no picture on record",
}


@dataclass(frozen=True)
class Spent:
    """Sums of what was sent.

    Attributes:
        pictures, amounts: billed, and their known prices by currency.
        unpriced: those of them whose price was not set.
        maybe_billed, maybe_amounts, maybe_unpriced: the same of requests whose answer was lost.
        in_flight: pictures of requests without an answer yet.
        free: pictures of the sandbox, which are in none of the others.
    """

    pictures: int
    amounts: Mapping[str, float]
    unpriced: int
    maybe_billed: int
    maybe_amounts: Mapping[str, float]
    maybe_unpriced: int
    in_flight: int
    free: int

    @classmethod
    def of(cls, rows: Iterable[DaySpend]) -> Self:
        """The sums of some rows of the ledger."""
        rows = list(rows)
        paid = [row for row in rows if not row.is_sandbox]
        billed, maybe, sent = (
            [row for row in paid if row.bill.billing is billing]
            for billing in (Billing.BILLED, Billing.AMBIGUOUS, Billing.SENT)
        )
        return cls(
            _pictures(billed),
            _amounts(billed),
            sum(row.bill.unpriced for row in billed),
            _pictures(maybe),
            _amounts(maybe),
            sum(row.bill.unpriced for row in maybe),
            _pictures(sent),
            _pictures(row for row in rows if row.is_sandbox),
        )

    def __str__(self) -> str:
        parts = []
        if self.pictures:
            parts.append(f"{counted(self.pictures, 'picture')}, {money(self.amounts, self.unpriced)}")
        if self.maybe_billed:
            most = money(self.maybe_amounts, self.maybe_unpriced)
            parts.append(f"maybe billed, answer lost: {counted(self.maybe_billed, 'picture')}, {most}")
        if self.in_flight:
            parts.append(f"in flight: {counted(self.in_flight, 'picture')}")
        if self.free:
            parts.append(f"{counted(self.free, 'picture')} of the sandbox, free")
        return "; ".join(parts) or "nothing"


def money(amounts: Mapping[str, float], unpriced: int) -> str:
    """Amounts as text, by currency; what has no known price is said, and never counted as 0."""
    parts = [amount(value, currency) for currency, value in sorted(amounts.items())]
    if unpriced:
        parts.append(f"{counted(unpriced, 'picture')} at an unknown price" if parts else "price unknown")
    return " and ".join(parts) or "nothing"


def source_name(source: str | None) -> str:
    """Where the prompts came from, in words."""
    return _SOURCES.get(source, source or "")


def by_day(rows: Iterable[DaySpend]) -> dict[date, list[DaySpend]]:
    """The rows of each day, in their order."""
    found: dict[date, list[DaySpend]] = {}
    for row in rows:
        found.setdefault(row.day, []).append(row)
    return found


def by_model_and_source(rows: Iterable[DaySpend]) -> dict[tuple[str, str], list[DaySpend]]:
    """The rows of each model and source, both in words, in their order."""
    found: dict[tuple[str, str], list[DaySpend]] = {}
    for row in rows:
        found.setdefault((row.model or UNKNOWN_MODEL, source_name(row.source)), []).append(row)
    return found


def _pictures(rows: Iterable[DaySpend]) -> int:
    return sum(row.bill.pictures for row in rows)


def _amounts(rows: Iterable[DaySpend]) -> Mapping[str, float]:
    parts: dict[str, list[float]] = {}
    for row in rows:
        if row.bill.pictures > row.bill.unpriced:
            parts.setdefault(row.bill.currency, []).append(row.bill.amount)
    return {currency: round(fsum(some), 9) for currency, some in parts.items()}
