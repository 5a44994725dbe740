"""The log of one run, whatever started it: lines in the log file, receipt and results file.

A log that cannot be written causes one warning, and stops nothing.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from duomi_pipeline.common.text import counted
from duomi_pipeline.engine.outcome import INTERRUPTED, Outcome, Status, Stop, StoppedBy
from duomi_pipeline.engine.plan import PlannedPrompt, requests_to_buy
from duomi_pipeline.engine.session import Session
from duomi_pipeline.engine.states import State
from duomi_pipeline.images import StoreError
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.reporting.estimate import Estimate, estimate
from duomi_pipeline.reporting.log_file import LogFile
from duomi_pipeline.reporting.receipt import FailedPrompt, Receipt, by_class, failed_prompts
from duomi_pipeline.reporting.results import result_of, states_after, write_results
from duomi_pipeline.settings import ParameterOverrides


class RunLog:
    """Collects the outcomes of one run and makes its receipt; writes the files while inside `written`.

    Args:
        session: the session of the run.
        wanted: the prompts that the run generates.
        left: failures without an outcome.
        left_out: rows and files that give no prompt.
        force, max_images: as the run has them.

    Attributes:
        outcomes: the outcomes so far, without their thumbnails.
        stop: why the run ended early; has more than the ledger records.
        results_file: the results file, once it is written.
    """

    def __init__(
        self,
        session: Session,
        wanted: Sequence[PlannedPrompt],
        *,
        left: Sequence[FailedPrompt] = (),
        left_out: int = 0,
        force: bool = False,
        max_images: int | None = None,
    ) -> None:
        self._session = session
        self._wanted = {entry.prompt.id: entry for entry in wanted}
        self._left = tuple(left)
        self._left_out = left_out
        self._times: list[float] = []
        self._started_at = time.time()
        self._ended_at: float | None = None
        self._log: LogFile | None = None
        self._force = force
        self._max_images = max_images
        # By earlier Dagster runs of the same command, which have a receipt of their own each.
        self._spent_before = session.ledger.money(run_id=session.run_id)
        self.outcomes: list[Outcome] = []
        self.stop: Stop | None = None
        self.results_file: Path | None = None

    @contextmanager
    def written(self) -> Iterator[None]:
        """Write log lines inside the block, and receipt and results at its end, also after an exception."""
        settings = self._session.settings
        with LogFile(settings.path(settings.log_dir), self._session.run_id) as self._log:
            self._log.info(self._start())
            for line in self.estimate.as_lines():
                self._log.info(f"estimate: {line}")
            if self.estimate.warning:
                self._log.write(logging.WARNING, f"estimate: {self.estimate.warning}")
            try:
                yield
            except Exception as error:
                self.stop = self.stop or Stop(StoppedBy.ERROR, f"An unforeseen error: {error!r}")
                raise
            except BaseException:
                self.stop = self.stop or INTERRUPTED
                raise
            finally:
                self._ended_at = time.time()
                self._write_end(self._log)

    @cached_property
    def estimate(self) -> Estimate:
        """What the run costs and how long it takes, as far as that is known before it sends anything."""
        session = self._session
        requests = list(requests_to_buy(self._wanted.values(), force=self._force).values())
        return estimate(session.ledger, session.settings, requests, max_images=self._max_images, run_id=session.run_id)

    def record(self, outcome: Outcome) -> None:
        """Record an outcome."""
        self.outcomes.append(replace(outcome, thumbnail=None))
        self._times.append(time.time())
        if self._log is not None:
            self._log.write(logging.WARNING if outcome.failure else logging.INFO, self._line(outcome))

    def receipt(self) -> Receipt:
        """The receipt of all outcomes so far, with the money from the ledger."""
        session, run_id = self._session, self._session.run_id
        money = session.ledger.money(run_id=run_id).less(self._spent_before)
        stop = self.stop or self._recorded_stop()
        failures = failed_prompts(self.outcomes) + list(self._left)
        reached = {outcome.prompt.id for outcome in self.outcomes}
        return Receipt(
            run_id=run_id,
            trigger=session.trigger,
            service=session.settings.host_kind,
            started_at=self._started_at,
            ended_at=self._ended_at or time.time(),
            generated=sum(outcome.status == Status.GENERATED for outcome in self.outcomes),
            reused=sum(outcome.status == Status.REUSED for outcome in self.outcomes),
            failed=by_class(failures),
            failures=tuple(failures),
            not_reached=len(self._wanted.keys() - reached),
            stopped_by=stop.by if stop else None,
            message=stop.message if stop else None,
            advice=stop.advice if stop else "",
            spent=money.spent,
            maybe_billed=money.maybe_billed,
            maybe_spent=money.maybe_spent,
            currency=money.currency or session.settings.currency,
            left_out=self._left_out,
        )

    def _recorded_stop(self) -> Stop | None:
        run = self._session.ledger.run(self._session.run_id)
        return Stop(StoppedBy(run.stopped_by), run.message or "") if run and run.stopped_by else None

    def states(self) -> dict[str, State]:
        """The state of each prompt with an outcome, now."""
        return states_after(self._session, self._wanted, self.outcomes)

    def _start(self) -> str:
        session, models = self._session, sorted({entry.request.model for entry in self._wanted.values()})
        host = "" if session.settings.uses_sandbox else f" ({urlsplit(session.settings.service_url).hostname})"
        return (
            f"run {session.run_id} started: from {session.trigger}, service {session.settings.host_kind}{host}, "
            f"model {', '.join(models) or 'none'}, {counted(len(self._wanted), 'prompt')}"
        )

    def _line(self, outcome: Outcome) -> str:
        how = f"in {outcome.latency:.2f} s"
        if outcome.attempts:
            how += f", attempts: {outcome.attempts}"
        if outcome.failure is not None:
            return f"{outcome.prompt.id}: failed {how}: {outcome.failure}"
        return f"{outcome.prompt.id}: {outcome.status} {how}: {self._session.store.location(outcome.files[0].file)}"

    def _write_end(self, log: LogFile) -> None:
        receipt, states = self.receipt(), self.states()
        results = [
            result_of(outcome, states[outcome.prompt.id], at, self._session.store)
            for outcome, at in zip(self.outcomes, self._times, strict=True)
        ]
        try:
            self.results_file = write_results(
                log.folder, receipt, results, datetime.fromtimestamp(receipt.ended_at, UTC)
            )
        except StoreError as error:
            log.warn_once(error.__cause__ or error)
        if receipt.message:
            log.write(logging.WARNING, f"stopped by {receipt.stopped_by}: {receipt.message}")
        for line in receipt.as_text().splitlines():
            log.info(f"receipt: {line}")
        log.info(f"run {self._session.run_id} ended; results: {self.results_file or 'not kept'}")


def rows_and_files_left_out(sources: Sources) -> int:
    """How many rows and files give no prompt; a missing source does not count."""
    return len(sources.table.problems) + len(sources.files.problems)


def run_batch(
    session: Session,
    entries: Sequence[PlannedPrompt],
    parameters: ParameterOverrides,
    log: RunLog,
    *,
    force: bool = False,
) -> Stop | None:
    """Generate prompts and record every outcome in the log. Returns why the run stopped early, if it did.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; what was in flight has been finished and recorded.
    """
    with session.generating(entries, parameters, force=force) as batch:
        try:
            for outcome in batch:
                log.record(outcome)
        except KeyboardInterrupt:
            batch.stop(INTERRUPTED)
            raise
        finally:
            log.stop = batch.stop_reason
    return batch.stop_reason
