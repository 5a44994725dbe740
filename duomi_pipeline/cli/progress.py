"""Progress on stderr: a bar on a terminal, lines otherwise; and a line about other work that takes long."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from duomi_pipeline.engine import Outcome

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
    """Shows progress outcome by outcome; each failure is printed at once."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._failed = 0
        self._started = time.monotonic()
        self._last_line = 0.0
        self._bar = _bar() if sys.stderr.isatty() and total else None
        self._task = self._bar.add_task("pictures", total=total, rate="", failed=0) if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self._done += 1
        if outcome.failure is not None:
            self._failed += 1
            self._print(f"failed: {outcome.prompt.id}: {outcome.failure}")
        rate = self._done / max(time.monotonic() - self._started, 1e-6)
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self._done, rate=f"{rate:.1f}/s", failed=self._failed)
        elif time.monotonic() - self._last_line >= LINE_EVERY or self._done == self._total:
            self._last_line = time.monotonic()
            left = timedelta(seconds=round((self._total - self._done) / rate))
            click.echo(
                f"{self._done}/{self._total} pictures, {rate:.1f}/s, {self._failed} failed, {left} left",
                err=True,
            )

    def _print(self, line: str) -> None:
        if self._bar:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line, err=True)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
