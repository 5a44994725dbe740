"""The sensor `run_failures`: posts an alert for failed image runs to a chat.

The alerts are made in `failed_runs`, and posted by `webhook`.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

import dagster as dg
from pydantic import BaseModel, ConfigDict

from duomi_pipeline.common.text import counted
from duomi_pipeline.orchestration.alerts.failed_runs import Alert, Group, alert_for, failed_groups
from duomi_pipeline.orchestration.alerts.webhook import post
from duomi_pipeline.orchestration.partition_ranges import end_dead_runs
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.settings import Settings

INTERVAL = 30  # seconds between two ticks; each posts at most one alert
OVERLAP = 60.0  # seconds by which the end of a run may be recorded late
STALE = 3 * 86_400.0  # seconds after which a failure is too old for an alert, because the sensor was off
SAME_ALERT = 20 * 3_600.0  # seconds without a second alert about the same problem of sensor or schedule, which retry


class AlertCursor(BaseModel):
    """The cursor of the sensor: which failures are handled.

    Attributes:
        since: failures before this time are handled, in seconds since 1970.
        runs: handled failed runs after that time, with the time of their end.
        troubles: signatures of posted alerts, with their time.
    """

    model_config = ConfigDict(frozen=True)

    since: float
    runs: Mapping[str, float] = {}
    troubles: Mapping[str, float] = {}

    def waiting(self, instance: dg.DagsterInstance) -> list[Group]:
        """Groups of failed runs that are not handled yet, the oldest first."""
        after = datetime.fromtimestamp(self.since, UTC)
        failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=after)
        return failed_groups(
            record
            for record in instance.get_run_records(failed)
            if record.dagster_run.run_id not in self.runs and (record.end_time or 0.0) > self.since
        )

    def with_handled(self, group: Group, now: float) -> Self:
        """The cursor after a group was handled: its alert was posted or suppressed."""
        ends = {record.dagster_run.run_id: record.end_time or now for record in group.failed}
        return self.model_copy(update={"runs": {**self.runs, **ends}})

    def with_posted(self, signature: str, now: float) -> Self:
        """The cursor after an alert was posted; old signatures are removed."""
        recent = {key: at for key, at in self.troubles.items() if now - at < SAME_ALERT}
        return self.model_copy(update={"troubles": {**recent, signature: now}})

    def advanced(self, waiting: list[Group], now: float) -> Self:
        """The cursor moved forward in time, without runs that are older than its new start."""
        oldest = min((record.end_time or now for group in waiting for record in group.failed), default=now)
        since = max(self.since, oldest - OVERLAP)
        return self.model_copy(
            update={"since": since, "runs": {run: at for run, at in self.runs.items() if at > since}}
        )


def build_run_failures(settings: Settings) -> dg.SensorDefinition:
    """The sensor; on by default if a webhook is set, else off."""
    is_on = settings.webhook_url is not None

    @dg.sensor(
        name="run_failures",
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Posts failed image runs to DUOMI_WEBHOOK_URL, one message for a backfill; nothing without a URL.",
    )
    def run_failures(context: dg.SensorEvaluationContext, duomi: DuomiResource) -> dg.SensorResult:
        """Post at most one alert about runs that failed since the last tick.

        If the webhook does not accept it, the tick fails: the cursor stays, and the next tick posts it again.
        """
        settings, now = duomi.settings(), time.time()
        if settings.webhook_url is None:
            return _skip("DUOMI_WEBHOOK_URL is not set: alerts cannot be posted.", "")
        if not context.cursor:
            return _skip("From now on failed image runs are posted.", AlertCursor(since=now).model_dump_json())
        cursor = AlertCursor.model_validate_json(context.cursor)
        with duomi.session() as session:
            end_dead_runs(context.instance, session.ledger)
            waiting = cursor.waiting(context.instance)
            ended = [group for group in waiting if group.has_ended(context.instance, session)]
            if not ended:
                waits = f"{counted(len(waiting), 'failure')} waiting for the end of the other runs of the same command."
                reason = waits if waiting else "No failures."
                return _skip(reason, cursor.advanced(waiting, now).model_dump_json())
            alert = alert_for(context.instance, session, ended[0])
        suppressed = _suppress_reason(ended[0], alert, cursor, now)
        if not suppressed:
            post(settings.webhook_url, alert.text(), settings.timeout, settings.webhook_chat)
            cursor = cursor.with_posted(alert.signature, now)
        cursor = cursor.with_handled(ended[0], now)
        left = [group for group in waiting if group is not ended[0]]
        return _skip(suppressed or f"Posted: {alert.title}", cursor.advanced(left, now).model_dump_json())

    return run_failures


def _suppress_reason(group: Group, alert: Alert, cursor: AlertCursor, now: float) -> str | None:
    if now - group.ended_at > STALE:
        return f"Not posted, too long ago: {alert.title}"
    if alert.stopped_by_user:
        return f"Not posted, it was interrupted by hand: {alert.title}"
    if group.is_unattended and now - cursor.troubles.get(alert.signature, 0.0) < SAME_ALERT:
        return f"Not posted, the same was posted already: {alert.title}"
    return None


def _skip(reason: str, cursor: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor)
