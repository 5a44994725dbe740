"""What an error means for its own request and for the run, as the error policy and the evidence of others say.

Doing it (another try, the end of a job, the end of the run) is `batch`'s.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from duomi_pipeline.common.text import sentence
from duomi_pipeline.duomi.client import GONE
from duomi_pipeline.duomi.errors import (
    ConfigurationError,
    DuomiError,
    ModelNotServed,
    NotDownloaded,
    RateLimited,
    TaskTimedOut,
)
from duomi_pipeline.duomi.policy import Billed, ErrorClass, Reaction
from duomi_pipeline.engine.download import Fetcher
from duomi_pipeline.engine.evidence import InARow, Suspect, stop_of_all
from duomi_pipeline.engine.fallback import Fallbacks
from duomi_pipeline.engine.flow_control import FlowControl
from duomi_pipeline.engine.job import End, Endings, Job
from duomi_pipeline.engine.outcome import Failure, Stop, StoppedBy
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.ledger import Ledger, Purchase
from duomi_pipeline.settings import Settings

SAME_TIME = 3600.0  # seconds; what was sold so long before an answer speaks for the service at that time
FIRST_BACKOFF, MAX_BACKOFF = 1.0, 60.0  # seconds


@dataclass(frozen=True)
class Verdict:
    """What becomes of a job that met an error.

    Attributes:
        again_in: seconds until it is tried again.
        failure: that its prompts end with; the ledger knows it.
        followed_by: jobs that take its prompts over, or some of them.
        asks_others: it waits until other prompts have been asked.
        stop: why the whole run ends. A job that neither fails nor is followed stays open for the next run.
    """

    again_in: float | None = None
    failure: Failure | None = None
    followed_by: tuple[Job, ...] = ()
    asks_others: bool = False
    stop: Stop | None = None


@dataclass(frozen=True)
class Judge:
    """Judges the errors of one run; called from many threads.

    Attributes:
        lost_answers: POSTs of one request that may be billed without a picture, before only the user may ask again.
    """

    settings: Settings
    ledger: Ledger
    endings: Endings
    fallbacks: Fallbacks
    fetcher: Fetcher
    flow: FlowControl
    in_a_row: InARow
    lost_answers: int

    def too_many(self, job: Job, error: DuomiError) -> Stop | None:
        """Why to stop before anything else is done about an error: too many of its class in a row."""
        return self.in_a_row.failed(job, error, self.flow.width.width)

    def of(self, job: Job, error: DuomiError) -> Verdict:
        """The verdict on an error that a job met at the API, as the policy says it."""
        match self._reaction(job, error):
            case Reaction.REFUSE:
                self.flow.width.answered()  # the service works: it is this prompt that it refuses
                return self._failed(job, error, "refused", final=True)
            case Reaction.ASK_OTHERS:
                return Verdict(asks_others=True)
            case Reaction.OTHER_MODEL:
                return self._other_model(job, error)
            case Reaction.STOP:
                return Verdict(stop=self._stop_of(error))
            case Reaction.WAIT:
                return self._wait(job, error)
            case Reaction.REPEAT:
                return self._repeat(job, error)
            case Reaction.GIVE_UP:
                return self._failed(job, error, "failed")
            case Reaction.LOOK_LATER:
                return self._look_later(job, error)
            case unforeseen:
                assert_never(unforeseen)

    def of_suspect(self, job: Job, error: DuomiError, *, has_sold: bool) -> Verdict:
        """The verdict on an error that did not say whom it concerns, now that others succeeded or none is left.

        It is this prompt's own matter. What speaks of key, balance or model, or is a gateway's page, and nobody else
        was there to be compared with, is not known to be: it stays a failure for now where the key has bought something
        before, and stops the run where it never has.
        """
        is_own = error.error_class in (ErrorClass.UNKNOWN, ErrorClass.REFUSED)
        if has_sold or (is_own and error.is_own):
            return self._failed(job, error, "refused", final=True)
        if is_own or self.ledger.has_sold(self.settings.service_identity):
            return self._failed(job, error, "failed")
        return Verdict(stop=stop_of_all([Suspect(job, error)]))

    def _reaction(self, job: Job, error: DuomiError) -> Reaction:
        """What the policy says; but where only words say whom it concerns, and asking is free, others are asked.

        What met the same in an earlier run, while others had pictures then or since, is its own matter.
        """
        reaction = error.error_class.policy.reaction
        has_other = isinstance(error, ModelNotServed) and self.settings.fallback_models
        if error.by_words and error.billed is Billed.NO and not has_other:
            says_whom = (Reaction.REFUSE, Reaction.STOP, Reaction.OTHER_MODEL)
            reaction = Reaction.ASK_OTHERS if reaction in says_whom else reaction
        if reaction is not Reaction.ASK_OTHERS:
            return reaction
        first, before = job.entries[0], job.entries[0].purchase
        met_before = first.met_trouble and before is not None and before.error_class == error.error_class
        if (
            before is not None
            and met_before
            and self.ledger.has_sold(self.settings.service_identity, before.updated_at - SAME_TIME)
        ):
            return Reaction.REFUSE
        return reaction

    def _other_model(self, job: Job, error: DuomiError) -> Verdict:
        """A model that is not served, or a value that it does not take: other models for those that may have them.

        Without any a prompt that chose the model (or value) itself fails; else all would fail so, and the run stops.
        """
        moved, left = self.fallbacks.reroute(job.entries, error)
        followed_by = _jobs_of(moved, job)
        if not left:
            return Verdict(followed_by=followed_by)
        job.entries = left
        own = [entry.prompt.overrides for entry in left]
        if any(mine.model for mine in own) or (
            isinstance(error, ConfigurationError) and any(mine.explicit() for mine in own)
        ):
            if isinstance(error, ModelNotServed):
                error = ModelNotServed(
                    f"{sentence(error.message)} {error.error_class.policy.advice_to_all}", error.code
                )
            return replace(self._failed(job, error, "refused", final=True), followed_by=followed_by)
        return Verdict(stop=self._stop_of(error), followed_by=followed_by)

    def _stop_of(self, error: DuomiError) -> Stop:
        words = self.fallbacks.describe(error) if isinstance(error, ModelNotServed) else str(error)
        message = f"{sentence(words)} {error.error_class.policy.advice_to_all}"
        return Stop(StoppedBy.SERVICE, message, error.error_class, error.code)

    def _wait(self, job: Job, error: DuomiError) -> Verdict:
        wait = error.retry_after if error.retry_after is not None else _backoff(job.attempts)
        self.flow.width.pushed_back()
        if isinstance(error, RateLimited):
            self.flow.pace.pause(wait)
        if job.attempts < self.settings.max_attempts:
            return Verdict(again_in=wait)
        return self._failed(job, error, self._paid_state(job) or "failed")

    def _repeat(self, job: Job, error: DuomiError) -> Verdict:
        """Ask again what may be lost, as long as that may cost no more than is allowed."""
        if self.ledger.lost_answers(job.request.key) >= self.lost_answers:
            return self._failed(job, error, "failed", final=True)
        if self._paid_state(job):  # a task that ended: it has nothing more to say
            self._give_up(job, error)
        return Verdict(again_in=_backoff(job.attempts))

    def _look_later(self, job: Job, error: DuomiError) -> Verdict:
        """What is paid stays known to the next run, as long as there is hope."""
        if isinstance(error, TaskTimedOut):
            if not error.late:
                return self._failed(job, error, "submitted")
            self._give_up(job, error)  # it had its second chance
            return Verdict(again_in=0.0)
        if isinstance(error, NotDownloaded) and not self._may_be_fetched(job, error):
            return self._failed(job, error, "failed")
        return self._failed(job, error, self._paid_state(job) or "failed")

    def _may_be_fetched(self, job: Job, error: NotDownloaded) -> bool:
        """Whether an address may still lead to its picture: not after a definite no in two runs."""
        before = job.planned_failure
        denied_before = before is not None and before.error_class is ErrorClass.NOT_DOWNLOADED and before.code in GONE
        return self.fetcher.address_lives(_purchase(job).id) and not (error.definite and denied_before)

    def _give_up(self, job: Job, error: DuomiError) -> None:
        """End a job's purchase, so that the next try begins a new one."""
        self.endings.record(job, "failed", error)
        job.given_up = _purchase(job).id

    def _paid_state(self, job: Job) -> End | None:
        """The state of a purchase that is paid and must stay known; `None` of one that is not."""
        state = self.ledger.purchase(_purchase(job).id).state
        return state if state == "submitted" or state == "ready" else None  # noqa: PLR1714 - for the type checker

    def _failed(self, job: Job, error: DuomiError, end: End, *, final: bool = False) -> Verdict:
        failure = Failure.of(error, final=final)
        self.endings.record(job, end, error)
        if end in ("refused", "failed"):
            self.endings.record_on_original_request(job, failure)
        return Verdict(failure=failure)


def _jobs_of(entries: Sequence[PlannedPrompt], before: Job) -> tuple[Job, ...]:
    """Jobs for prompts that go on with another request than before."""
    jobs: dict[str, Job] = {}
    for entry in entries:
        new = Job(entry.request, [], anew=before.anew, started_at=before.started_at)
        jobs.setdefault(entry.request.key, new).entries.append(entry)
    return tuple(jobs.values())


def _purchase(job: Job) -> Purchase:
    if job.purchase is None:
        raise RuntimeError("a job failed at the API before it was claimed")
    return job.purchase


def _backoff(attempt: int) -> float:
    """Seconds before the next try: growing, with jitter so that workers do not come back together."""
    return min(FIRST_BACKOFF * 2.0 ** (attempt - 1), MAX_BACKOFF) * random.uniform(0.5, 1.0)  # noqa: S311
