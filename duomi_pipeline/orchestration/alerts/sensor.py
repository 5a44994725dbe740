"""The sensor `run_failures`: tells a chat of image runs that failed. What there is to say is `failed_runs`'."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

import dagster as dg
from pydantic import BaseModel, ConfigDict

from duomi_pipeline.orchestration.alerts.failed_runs import Group, News, failed_groups, news_of
from duomi_pipeline.orchestration.alerts.webhook import post
from duomi_pipeline.orchestration.partition_ranges import end_dead_runs
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.settings import Settings

INTERVAL = 30  # seconds between two looks; each posts one message at most
OVERLAP = 60.0  # seconds: a run's end may be seen this much later than it was
STALE = 3 * 86_400.0  # seconds after which a failure is no news any more: the sensor was off
SAME_NEWS = 20 * 3_600.0  # seconds in which the same trouble of sensor and schedule, which try again, is told once


class Told(BaseModel):
    """The cursor: how far the sensor has come.

    Attributes:
        since: failures up to here are done with, in seconds since 1970.
        runs: failed runs after that which are done with, with the time of their end.
        troubles: signatures of what was told of unattended runs, with the time.
    """

    model_config = ConfigDict(frozen=True)

    since: float
    runs: Mapping[str, float] = {}
    troubles: Mapping[str, float] = {}

    def waiting(self, instance: dg.DagsterInstance) -> list[Group]:
        """Failures that are not done with, the oldest first."""
        after = datetime.fromtimestamp(self.since, UTC)
        failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=after)
        return failed_groups(
            record
            for record in instance.get_run_records(failed)
            if record.dagster_run.run_id not in self.runs and (record.end_time or 0.0) > self.since
        )

    def done_with(self, group: Group, now: float) -> Self:
        """The cursor once a group was told, or needs no telling."""
        ends = {record.dagster_run.run_id: record.end_time or now for record in group.failed}
        return self.model_copy(update={"runs": {**self.runs, **ends}})

    def with_trouble(self, signature: str, now: float) -> Self:
        """The cursor once a trouble was told; old ones are forgotten."""
        recent = {key: at for key, at in self.troubles.items() if now - at < SAME_NEWS}
        return self.model_copy(update={"troubles": {**recent, signature: now}})

    def moved_on(self, waiting: list[Group], now: float) -> Self:
        """The cursor without what no look will find again."""
        oldest = min((record.end_time or now for group in waiting for record in group.failed), default=now)
        since = max(self.since, oldest - OVERLAP)
        return self.model_copy(
            update={"since": since, "runs": {run: at for run, at in self.runs.items() if at > since}}
        )


def build_run_failures(settings: Settings) -> dg.SensorDefinition:
    """The sensor; on by itself where a webhook is set, else off."""
    is_on = settings.webhook_url is not None

    @dg.sensor(
        name="run_failures",
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Posts failed image runs to DUOMI_WEBHOOK_URL, one message for a backfill; nothing without a URL.",
    )
    def run_failures(context: dg.SensorEvaluationContext, duomi: DuomiResource) -> dg.SensorResult:
        """One look at what failed since the last one, and one message at most.

        A message that the webhook does not take fails the look: the cursor stays, and the next look posts it again.
        """
        settings, now = duomi.settings(), time.time()
        if settings.webhook_url is None:
            return _nothing("DUOMI_WEBHOOK_URL is not set: there is nowhere to post to.", "")
        if not context.cursor:
            return _nothing("From now on failed image runs are posted.", Told(since=now).model_dump_json())
        told = Told.model_validate_json(context.cursor)
        with duomi.session() as session:
            end_dead_runs(context.instance, session.ledger)
            waiting = told.waiting(context.instance)
            ended = [group for group in waiting if group.has_ended(context.instance, session)]
            if not ended:
                said = (
                    f"{len(waiting)} failures wait for the end of what they belong to." if waiting else "No failures."
                )
                return _nothing(said, told.moved_on(waiting, now).model_dump_json())
            news = news_of(context.instance, session, ended[0])
        quiet = _why_quiet(ended[0], news, told, now)
        if not quiet:
            post(settings.webhook_url, news.text(), settings.timeout)
            told = told.with_trouble(news.signature, now)
        told = told.done_with(ended[0], now)
        left = [group for group in waiting if group is not ended[0]]
        return _nothing(quiet or f"Posted: {news.title}", told.moved_on(left, now).model_dump_json())

    return run_failures


def _why_quiet(group: Group, news: News, told: Told, now: float) -> str | None:
    if now - group.ended_at > STALE:
        return f"Not posted, too long ago: {news.title}"
    if news.is_own_wish:
        return f"Not posted, it was interrupted by hand: {news.title}"
    if group.is_unattended and now - told.troubles.get(news.signature, 0.0) < SAME_NEWS:
        return f"Not posted, the same was posted already: {news.title}"
    return None


def _nothing(reason: str, cursor: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor)
