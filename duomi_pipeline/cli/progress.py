"""Progress on stderr: a bar on a terminal, lines otherwise; and a line about other work that takes long."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from duomi_pipeline.common.text import counted, one_line
from duomi_pipeline.engine import Outcome
from duomi_pipeline.reporting.receipt import MAX_REASON, amount

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY = 2.0  # seconds between two lines where there is no terminal
SLOW = 2.0  # seconds of work without any output


@contextmanager
def announce_if_slow(what: str) -> Iterator[None]:
    """Print what the block does if it takes longer than `SLOW`: with 100,000 prompts most work does."""
    timer = threading.Timer(SLOW, click.echo, [f"{what} …"], {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class ProgressReport:
    """Shows progress outcome by outcome, on one line; each failure is printed at once.

    Args:
        total: how many prompts there are.
        currency: of the prices; empty where nothing costs money.
    """

    def __init__(self, total: int, currency: str) -> None:
        self._total = total
        self._currency = currency
        self._done = 0
        self._failed = 0
        self._spent: float | None = None  # as far as prices are known
        self._started = time.monotonic()
        self._first = 0.0  # when the first outcome was known
        self._last_line = 0.0
        self._bar = _bar() if sys.stderr.isatty() and total else None
        self._task = self._bar.add_task("", total=total, figures=self._figures()) if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self._first = self._first or time.monotonic()
        self._done += 1
        if outcome.cost is not None:
            self._spent = (self._spent or 0.0) + outcome.cost
        if outcome.failure is not None:
            self._failed += 1
            self._print(f"failed: {outcome.prompt.id}: {one_line(str(outcome.failure), MAX_REASON)}")
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self._done, figures=self._figures())
        elif time.monotonic() - self._last_line >= LINE_EVERY or self._done == self._total:
            self._last_line = time.monotonic()
            click.echo(self._figures(), err=True)

    @contextmanager
    def writing_manifest(self) -> Iterator[None]:
        """Say what is done in the block: among many prompts it takes longer than the last pictures did."""
        if not self._bar or self._task is None:
            with announce_if_slow("Writing the manifest"):
                yield
            return
        self._bar.update(self._task, figures=f"{self._count()}, writing the manifest", refresh=True)
        try:
            yield
        finally:
            self._bar.update(self._task, figures=self._figures())

    def _count(self) -> str:
        return f"{self._done:,}/{counted(self._total, 'picture')}"

    def _figures(self) -> str:
        """Progress, speed, money and time left: `3/8 pictures, 0.4/s, 0.30 CNY, 0 failed, 0:00:12 left`."""
        parts = [self._count()]
        if self._done:
            now = time.monotonic()
            rate = self._done / max(now - self._started, 1e-6)
            parts.append(f"{rate:.1f}/s")
            if self._currency and self._spent is not None:
                parts.append(amount(self._spent, self._currency))
            parts.append(f"{self._failed:,} failed")
            # The first one is sent alone, after all that comes before it: minutes would seem to be hours.
            if now - self._first >= LINE_EVERY or self._done == self._total:
                parts.append(f"{timedelta(seconds=round((self._total - self._done) * self._pace(now)))} left")
        return ", ".join(parts)

    def _pace(self, now: float) -> float:
        """Seconds for one picture since the first one was there."""
        return (now - self._first) / max(self._done - 1, 1)

    def _print(self, line: str) -> None:
        if self._bar:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line, err=True)


def _bar() -> "Progress":
    """A bar as wide as the terminal leaves room for, beside the figures."""
    # Imported here: without a terminal there is no bar, and most commands have none anyway.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    figures = TextColumn("{task.fields[figures]}", markup=False, table_column=Column(no_wrap=True))
    return Progress(BarColumn(bar_width=None), figures, console=Console(stderr=True), expand=True)
