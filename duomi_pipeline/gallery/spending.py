"""The gallery's page of what was spent: a bar a day, and a table with the same figures."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from html import escape

from duomi_pipeline.common.places import Place, publish_changed
from duomi_pipeline.ledger import Billing, BillSum, Ledger
from duomi_pipeline.reporting.receipt import amount
from duomi_pipeline.reporting.spending import money

PAGE = "spending.html"
_DAYS = 60  # up to the last on which something was spent: where nothing happens, the page stays as it is
_STEP, _BAR, _HEIGHT = 12, 9, 160  # of a day, its bar, and the highest bar
_NOTHING = "<p>Nothing was spent yet. Pictures of the sandbox are free, and not counted.</p>"
_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'self' file:; style-src 'self' file:">
<title>Spending</title>
<link rel="stylesheet" href="gallery.css">
<link rel="stylesheet" href="spending.css">
<script src="theme.js"></script>
</head>
<body class="spending">
<main>
<h1>Spending</h1>
<p>Days of UTC on which something was paid. By model and source: <code>duomi status --spend</code>.
<a href="index.html">Back to the gallery</a></p>
{chart}
<div class="table" tabindex="0" role="region" aria-label="Spending by day"><table>
<thead><tr><th scope="col">Day</th><th scope="col">Pictures</th><th scope="col">Cost</th>
<th scope="col">Maybe billed, answer lost</th></tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
</main>
</body>
</html>
"""


def write_spending(ledger: Ledger, folder: Place, currency: str) -> bool:
    """Write the page beside `index.html`, unless it is as it would be. Returns whether it was written.

    Args:
        folder: the gallery's.
        currency: of the settings; the bars are of amounts in it.

    Raises:
        OSError: it cannot be written.
    """
    return publish_changed(folder / PAGE, spending_page(ledger.spend.daily(), currency).encode())


def spending_page(days: Mapping[date, Sequence[BillSum]], currency: str) -> str:
    """The page as HTML.

    Args:
        days: the sums of each day, the first day first.
        currency: of the bars.
    """
    if not days:
        return _TEMPLATE.format(chart=_NOTHING, rows="")
    last = max(days)
    shown = {day: bills for day, bills in days.items() if day > last - timedelta(days=_DAYS)}
    rows = "\n".join(_row(day, bills) for day, bills in reversed(shown.items()))
    return _TEMPLATE.format(chart=_chart(shown, currency), rows=rows)


def _chart(days: Mapping[date, Sequence[BillSum]], currency: str) -> str:
    """A bar chart as SVG; days without spending have their place."""
    first, last = min(days), max(days)
    spent = {
        day: sum(bill.amount for bill in _of(bills, Billing.BILLED) if bill.currency == currency)
        for day, bills in days.items()
    }
    most, width = max(spent.values()), max((last - first).days + 1, 10) * _STEP
    if not most:
        return "<p>No price is known of what was bought.</p>"
    bars = []
    for day, value in spent.items():
        height = max(_HEIGHT * value / most, 1.0)
        x, y, what = (day - first).days * _STEP, _HEIGHT - height, escape(f"{day}: {amount(value, currency)}")
        bars.append(f'<rect x="{x}" y="{y:.1f}" width="{_BAR}" height="{height:.1f}"><title>{what}</title></rect>')
    span = str(first) if first == last else f"{first} to {last}"
    caption = escape(f"{span}, at most {amount(most, currency)} a day")
    return (
        f'<figure><svg viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Spending a day, {caption}">\n'
        + "\n".join(bars)
        + f"\n</svg><figcaption>{caption}</figcaption></figure>"
    )


def _row(day: date, bills: Sequence[BillSum]) -> str:
    billed, maybe = _of(bills, Billing.BILLED), _of(bills, Billing.AMBIGUOUS)
    pictures = sum(bill.pictures for bill in billed)
    cells = [f"{pictures:,}", _cost(billed), _cost(maybe)]
    return f'<tr><th scope="row">{day}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'


def _of(bills: Sequence[BillSum], billing: Billing) -> list[BillSum]:
    return [bill for bill in bills if bill.billing is billing]


def _cost(bills: Sequence[BillSum]) -> str:
    amounts = {bill.currency: bill.amount for bill in bills if bill.pictures > bill.unpriced}
    return money(amounts, sum(bill.unpriced for bill in bills)) if bills else "–"
