"""Group failed runs and make one alert of each group: the runs of one backfill, command or tick belong together.

When an alert is posted is decided in `sensor`.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterEventType
from pydantic import ValidationError

from duomi_pipeline.common.amounts import known_sum
from duomi_pipeline.common.text import one_line
from duomi_pipeline.engine import Session
from duomi_pipeline.orchestration.assets.generated_images import RECEIPT
from duomi_pipeline.orchestration.jobs import generate_missing_images, regenerate_images
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY, RUN_TAG, ledger_run
from duomi_pipeline.reporting.receipt import Receipt

MAX_TEXT = 3_000  # characters; Slack refuses longer texts in some places
_NAMED = 10  # failures in a message
_MAX_LINE = 300  # characters
_BACKFILL, _TICK = "dagster/backfill", "dagster/tick"
_ACTIVE = {"REQUESTED", "CANCELING", "FAILING"}  # statuses of a backfill
_KINDS = {_BACKFILL: "backfill", RUN_TAG: "command", _TICK: "tick", "": "run"}
_JOBS = {generate_missing_images.name, regenerate_images.name}


@dataclass(frozen=True)
class Group:
    """Failed image runs that belong together.

    Attributes:
        tag, value: the tag that they share; for a single run no tag, and its run id.
        failed: the runs that failed and have no alert yet.
    """

    tag: str
    value: str
    failed: tuple[dg.RunRecord, ...]

    @property
    def ended_at(self) -> float:
        """When the last of them failed, in seconds since 1970."""
        return max(_end(record) for record in self.failed)

    @property
    def is_unattended(self) -> bool:
        """Whether a sensor or schedule started the runs."""
        return self.tag == _TICK

    def runs(self, instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
        """All runs of the group, also those that did not fail."""
        if not self.tag:
            return [record.dagster_run for record in self.failed]
        found = instance.get_runs(dg.RunsFilter(tags={self.tag: self.value}))
        return [run for run in found if _key(run) == (self.tag, self.value)]

    def has_ended(self, instance: dg.DagsterInstance, session: Session) -> bool:
        """Whether all runs of the group have ended, and no more will start."""
        if self.tag == _BACKFILL:
            backfill = instance.get_backfill(self.value)
            if backfill is not None and backfill.status.value in _ACTIVE:
                return False
        known = self.tag == RUN_TAG and session.ledger.run(self.value) is not None
        if known and not session.ledger.is_gone(self.value):  # a command that is alive may start another run
            return False
        return all(run.is_finished for run in self.runs(instance))


@dataclass(frozen=True)
class Alert:
    """The alert about a group of failed runs.

    Attributes:
        receipt: one receipt for all runs of the group.
        reasons: by run id, why runs failed that have no receipt, or whose receipt gives no reason.
    """

    title: str
    receipt: Receipt
    reasons: Mapping[str, str]

    @property
    def stopped_by_user(self) -> bool:
        """Whether the user stopped the runs, and nothing else failed."""
        return self.receipt.stopped_by == "interrupted" and not self.receipt.failed and not self.reasons

    @property
    def signature(self) -> str:
        """Equal for two alerts about the same problem: the reason of the stop, else the failed prompts and classes."""
        if self.receipt.message:
            problem = [re.sub(r"\d+", "#", self.receipt.message)[:60]]
        else:
            problem = sorted(f"{failure.prompt_id} {failure.error_class}" for failure in self.receipt.failures)
        text = "\n".join([*problem, *(re.sub(r"\d+", "#", reason) for reason in self.reasons.values())])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def text(self) -> str:
        """The message in Slack's mrkdwn, shorter than `MAX_TEXT` characters."""
        for named in range(_NAMED, -1, -1):
            lines = self._lines(named)
            if len("\n".join(lines)) < MAX_TEXT:
                break
        while len("\n".join(lines)) >= MAX_TEXT:
            lines.pop()
        return "\n".join(lines)

    def _lines(self, named: int) -> list[str]:
        reasons = [f"run {run_id[:8]}: {reason}" for run_id, reason in self.reasons.items()]
        lines = [*reasons[: max(1, named)], *self.receipt.shortened(named).as_text().splitlines()]
        return [f"*{_escaped(self.title)}*", *(_escaped(one_line(line, _MAX_LINE)) for line in lines)]


def failed_groups(records: Iterable[dg.RunRecord]) -> list[Group]:
    """Group the image runs among these failed runs; the group that failed first comes first."""
    groups: dict[tuple[str, str], list[dg.RunRecord]] = {}
    for record in sorted(records, key=_end):
        if _makes_images(record.dagster_run):
            groups.setdefault(_key(record.dagster_run), []).append(record)
    return [Group(tag, value, tuple(found)) for (tag, value), found in groups.items()]


def alert_for(instance: dg.DagsterInstance, session: Session, group: Group) -> Alert:
    """The alert for a group, from its runs, their events and the ledger."""
    runs, receipts, reasons = group.runs(instance), [], {}
    for record in group.failed:
        receipt, reason = _receipt_and_reason(instance, record.dagster_run.run_id)
        if receipt is not None:
            receipts.append(receipt)
        if receipt is None or not (receipt.failed or receipt.message):
            reasons[record.dagster_run.run_id] = reason
    of_what = f"{len(group.failed)} of {len(runs)} runs of " if group.tag else ""
    title = f"Duomi: {of_what}{_KINDS[group.tag]} {group.value} failed"
    return Alert(title, _combined_receipt(session, group, runs, receipts), reasons)


def _combined_receipt(
    session: Session, group: Group, runs: Sequence[dg.DagsterRun], receipts: Sequence[Receipt]
) -> Receipt:
    """One receipt for all runs. Counts and money come from the ledger, also for runs without a receipt."""
    ids = sorted({ledger_run(run) for run in runs})
    records = [record for run_id in ids if (record := session.ledger.run(run_id))]
    moneys = [session.ledger.money(run_id=run_id) for run_id in ids]
    currencies = {money.currency for money in moneys if money.currency}
    is_one = len(currencies) <= 1  # amounts in two currencies cannot be added
    stops = [receipt for receipt in receipts if receipt.stopped_by]
    stopped = min(stops, key=lambda receipt: receipt.stopped_by == "interrupted", default=None)
    failed: Counter[str] = Counter()
    for receipt in receipts:
        failed.update(receipt.failed)
    return Receipt(
        run_id=group.value,
        trigger=_KINDS[group.tag],
        service=session.settings.host_kind,
        started_at=min((record.started_at for record in records), default=group.ended_at),
        ended_at=max([group.ended_at, *(record.ended_at or 0.0 for record in records)]),
        generated=sum(record.counts.get("generated", 0) for record in records),
        reused=sum(record.counts.get("reused", 0) for record in records),
        failed=failed,
        failures=tuple(failure for receipt in receipts for failure in receipt.failures),
        not_reached=sum(receipt.not_reached for receipt in receipts),
        stopped_by=stopped.stopped_by if stopped else None,
        message=stopped.message if stopped else None,
        advice=stopped.advice if stopped else "",
        spent=known_sum(money.spent for money in moneys) if is_one else None,
        maybe_billed=sum(money.maybe_billed for money in moneys),
        maybe_spent=known_sum(money.maybe_spent for money in moneys) if is_one else None,
        currency=currencies.pop() if is_one and currencies else session.settings.currency,
    )


def _receipt_and_reason(instance: dg.DagsterInstance, run_id: str) -> tuple[Receipt | None, str]:
    """The receipt of a failed run, if it has one, and the reason that it or Dagster gives."""
    receipt, reason = None, ""
    ends = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
    for entry in instance.all_logs(run_id, of_type=ends):
        event = entry.dagster_event
        if event is None or not event.is_step_failure:
            reason = reason or (event.message if event else None) or ""
            continue
        data = event.step_failure_data
        if data.user_failure_data is None:
            reason = (data.error.cause or data.error).message if data.error else reason
            continue
        reason = data.user_failure_data.description or reason
        with suppress(KeyError, TypeError, ValidationError):  # a run of an earlier version has another receipt
            receipt = Receipt.from_json(data.user_failure_data.metadata[RECEIPT].value)
    return receipt, reason or "it ended without a message: its process was killed"


def _makes_images(run: dg.DagsterRun) -> bool:
    return IMAGES_KEY in (run.asset_selection or ()) or (not run.asset_selection and run.job_name in _JOBS)


def _key(run: dg.DagsterRun) -> tuple[str, str]:
    if _BACKFILL in run.tags:
        return _BACKFILL, run.tags[_BACKFILL]
    if ledger_run(run) != run.run_id:
        return RUN_TAG, ledger_run(run)
    if _TICK in run.tags and run.parent_run_id is None:
        return _TICK, run.tags[_TICK]
    return "", run.run_id


def _end(record: dg.RunRecord) -> float:
    return record.end_time or record.update_timestamp.timestamp()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
