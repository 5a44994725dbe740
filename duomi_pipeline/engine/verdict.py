"""Decide what an error means for its job and for the run, from the error policy and the evidence of other prompts.

Carrying it out (retry, end the job, stop the run) is in `batch`.
"""

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
from duomi_pipeline.duomi.policy import ErrorClass
from duomi_pipeline.duomi.reactions import Billed, Reaction
from duomi_pipeline.engine.download import Fetcher
from duomi_pipeline.engine.evidence import InARow, Suspect, stop_of_all
from duomi_pipeline.engine.fallback import Fallbacks
from duomi_pipeline.engine.flow_control import FlowControl
from duomi_pipeline.engine.job import Endings, Job
from duomi_pipeline.engine.outcome import Failure, Stop, StoppedBy
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.ledger import Ledger, Purchase, PurchaseState
from duomi_pipeline.settings import Settings

SAME_TIME = 3600.0  # seconds; a picture sold within this time before an error shows that the service worked then


@dataclass(frozen=True)
class Verdict:
    """What happens to a job after an error.

    Attributes:
        retry_in: seconds until it is tried again.
        failure: its prompts fail with this; recorded already.
        followed_by: jobs that take over its prompts, or some of them.
        asks_others: it waits until other prompts have been tried.
        stop: why the run ends. A job without failure or follower stays open for the next run.
    """

    retry_in: float | None = None
    failure: Failure | None = None
    followed_by: tuple[Job, ...] = ()
    asks_others: bool = False
    stop: Stop | None = None


@dataclass(frozen=True)
class Judge:
    """Judges the errors of one run; called from many threads.

    Attributes:
        lost_answers: POSTs of one request that may be billed without a picture, before only the user may retry it.
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
        """Why to stop the run: too many errors of this class in a row."""
        return self.in_a_row.failed(job, error, self.flow.width.width)

    def of(self, job: Job, error: DuomiError) -> Verdict:
        """The verdict on an API error, from the policy of its class."""
        match self._reaction(job, error):
            case Reaction.REFUSE:
                self.flow.width.answered()  # the service works: it refuses only this prompt
                return self._failed(job, error, PurchaseState.REFUSED, final=True)
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
                return self._failed(job, error, PurchaseState.FAILED)
            case Reaction.RESUME_LATER:
                return self._resume_later(job, error)
            case unforeseen:
                assert_never(unforeseen)

    def of_suspect(self, job: Job, error: DuomiError, *, has_sold: bool) -> Verdict:
        """The verdict on an error that did not say whom it concerns, after others succeeded or none is left to try.

        The error then concerns this prompt only. An exception: it speaks of key, balance or model, or is a page of a
        gateway, and no other prompt succeeded. Then the prompt fails for now if this key has bought something before;
        if it never has, the run stops.
        """
        is_own = error.error_class in (ErrorClass.UNKNOWN, ErrorClass.REFUSED)
        if has_sold or (is_own and error.is_own):
            return self._failed(job, error, PurchaseState.REFUSED, final=True)
        if is_own or self.ledger.has_sold(self.settings.service_identity):
            return self._failed(job, error, PurchaseState.FAILED)
        return Verdict(stop=stop_of_all([Suspect(job, error)]))

    def _reaction(self, job: Job, error: DuomiError) -> Reaction:
        """The reaction of the policy. If only the message says whom the error concerns, other prompts are tried first.

        If the prompt got the same error in an earlier run, and others got pictures since, it concerns this prompt only.
        """
        reaction = error.error_class.policy.reaction
        has_other = isinstance(error, ModelNotServed) and self.settings.fallback_models
        if error.by_words and error.billed is Billed.NO and not has_other:
            decided = (Reaction.REFUSE, Reaction.STOP, Reaction.OTHER_MODEL)
            reaction = Reaction.ASK_OTHERS if reaction in decided else reaction
        if reaction is not Reaction.ASK_OTHERS:
            return reaction
        first, before = job.entries[0], job.entries[0].purchase
        met_before = first.is_suspect and before is not None and before.error_class == error.error_class
        if (
            before is not None
            and met_before
            and self.ledger.has_sold(self.settings.service_identity, before.updated_at - SAME_TIME)
        ):
            return Reaction.REFUSE
        return reaction

    def _other_model(self, job: Job, error: DuomiError) -> Verdict:
        """Move prompts to a fallback model, after a model that is not served or a value that it does not accept.

        Without a fallback model, a prompt that set the model (or value) itself fails. Otherwise all prompts would fail
        the same way, so the run stops.
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
            return replace(self._failed(job, error, PurchaseState.REFUSED, final=True), followed_by=followed_by)
        return Verdict(stop=self._stop_of(error), followed_by=followed_by)

    def _stop_of(self, error: DuomiError) -> Stop:
        words = self.fallbacks.describe(error) if isinstance(error, ModelNotServed) else str(error)
        message = f"{sentence(words)} {error.error_class.policy.advice_to_all}"
        return Stop(StoppedBy.SERVICE, message, error.error_class, error.code)

    def _wait(self, job: Job, error: DuomiError) -> Verdict:
        wait = error.retry_after if error.retry_after is not None else self.flow.waits.backoff(job.attempts)
        self.flow.width.pushed_back()
        if isinstance(error, RateLimited):
            self.flow.pace.pause(wait)
        if job.attempts < self.settings.max_attempts:
            return Verdict(retry_in=wait)
        return self._failed(job, error, self._paid_state(job) or PurchaseState.FAILED)

    def _repeat(self, job: Job, error: DuomiError) -> Verdict:
        """Send a request again whose answer may be lost, as often as the settings allow."""
        if self.ledger.lost_answers(job.request.key) >= self.lost_answers:
            return self._failed(job, error, PurchaseState.FAILED, final=True)
        if self._paid_state(job):  # the task has ended: polling it again is useless
            self._give_up(job, error)
        return Verdict(retry_in=self.flow.waits.backoff(job.attempts))

    def _resume_later(self, job: Job, error: DuomiError) -> Verdict:
        """Leave a paid purchase open for the next run, as long as it can still succeed."""
        if isinstance(error, TaskTimedOut):
            if not error.late:
                return self._failed(job, error, PurchaseState.SUBMITTED)
            self._give_up(job, error)  # it was polled again in this run already
            return Verdict(retry_in=0.0)
        if isinstance(error, NotDownloaded) and not self._may_be_fetched(job, error):
            return self._failed(job, error, PurchaseState.FAILED)
        return self._failed(job, error, self._paid_state(job) or PurchaseState.FAILED)

    def _may_be_fetched(self, job: Job, error: NotDownloaded) -> bool:
        """Whether an address may still work: not after its host refused definitely in two runs."""
        before = job.planned_failure
        denied_before = before is not None and before.error_class is ErrorClass.NOT_DOWNLOADED and before.code in GONE
        return self.fetcher.address_lives(_purchase(job).id) and not (error.definite and denied_before)

    def _give_up(self, job: Job, error: DuomiError) -> None:
        """End a job's purchase, so that the next try claims a new one."""
        self.endings.record(job, PurchaseState.FAILED, error)
        job.given_up = _purchase(job).id

    def _paid_state(self, job: Job) -> PurchaseState | None:
        """The state of a paid purchase, which must stay open; `None` if it is not paid."""
        state = self.ledger.purchase(_purchase(job).id).state
        return state if state in (PurchaseState.SUBMITTED, PurchaseState.READY) else None

    def _failed(self, job: Job, error: DuomiError, end: PurchaseState, *, final: bool = False) -> Verdict:
        failure = Failure.of(error, final=final)
        self.endings.record(job, end, error)
        if end in (PurchaseState.REFUSED, PurchaseState.FAILED):
            self.endings.record_on_original_request(job, failure)
        return Verdict(failure=failure)


def _jobs_of(entries: Sequence[PlannedPrompt], before: Job) -> tuple[Job, ...]:
    """Jobs for prompts that continue with another request."""
    jobs: dict[str, Job] = {}
    for entry in entries:
        new = Job(entry.request, [], forced=before.forced, started_at=before.started_at)
        jobs.setdefault(entry.request.key, new).entries.append(entry)
    return tuple(jobs.values())


def _purchase(job: Job) -> Purchase:
    if job.purchase is None:
        raise RuntimeError("a job failed at the API before it was claimed")
    return job.purchase
