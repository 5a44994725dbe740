"""Many requests at a time: workers, retries as the error policy says, stopping. Outcomes come as they finish.

One request's own steps are `purchase`'s. One prompt's failure never stops the others; an error that, by the evidence of
`evidence`, every prompt would meet stops all of them before the next request is sent.
"""

import heapq
import itertools
import math
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, assert_never

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
from duomi_pipeline.engine.evidence import InARow, Suspect, Suspects, stop_of_all
from duomi_pipeline.engine.job import End, Endings, Job
from duomi_pipeline.engine.outcome import Failure, Outcome, Stop
from duomi_pipeline.engine.purchase import Buyer, FailedBeforeError, NoRoomError, StoppedError
from duomi_pipeline.images import PictureLostError, StoreError
from duomi_pipeline.ledger import Held, LedgerError, LimitReached, NotYet
from duomi_pipeline.prompts import Prompt

SAME_TIME = 3600.0  # seconds; what was sold so long before an answer speaks for the service at that time
HELD_WAIT = 0.5  # seconds until another look at a request that another run is buying
FIRST_BACKOFF, MAX_BACKOFF = 1.0, 60.0  # seconds
_FINISHED = object()


class Batch:
    """The work of one run; iterate over it once for its outcomes.

    Args:
        jobs: what to bring to pictures.
        buyer: brings one.
        concurrency: requests in flight.

    Attributes:
        stop_reason: why the run stopped early, `None` if it did not.
    """

    def __init__(self, jobs: Sequence[Job], buyer: Buyer, concurrency: int) -> None:
        self._buyer = buyer
        self._endings = Endings(buyer.ledger, buyer.run_id)
        self._results: queue.Queue[Any] = queue.Queue()
        self._due: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._open_jobs = len(jobs)
        self._unfinished = {entry.prompt.id: entry.prompt for job in jobs for entry in job.entries}
        self._first = {job.request.key: job for job in jobs}
        self._counts: Counter[str] = Counter()
        self.stop_reason: Stop | None = None
        self._error: BaseException | None = None
        self._in_a_row = InARow()
        self._suspects = Suspects()
        self._has_sold = False
        for job in sorted(jobs, key=_urgency):
            self._push(job, 0.0)
        self._threads = [
            threading.Thread(target=self._work, name=f"duomi-{number}", daemon=True)
            for number in range(min(concurrency, len(jobs)))
        ]

    def __iter__(self) -> Iterator[Outcome]:
        """Start the work and give each outcome as it is there; raises as `groups` does."""
        for group in self.groups(0.0):
            yield from group

    def groups(self, seconds: float) -> Iterator[list[Outcome]]:
        """Start the work and give outcomes together that come within some seconds: what is done with several at a
        time can cost less.

        Raises:
            Exception: an error that nobody foresaw; what was in flight has been finished and recorded.
        """
        for thread in self._threads:
            thread.start()
        running, group, due = len(self._threads), list[Outcome](), math.inf
        while running:
            try:
                # A time-out at all, so that Windows hears Ctrl-C.
                found = self._results.get(timeout=min(max(due - time.monotonic(), 0.0), 1.0))
            except queue.Empty:
                found = None
            if found is _FINISHED:
                running -= 1
            elif found is not None:
                self._unfinished.pop(found.prompt.id, None)
                self._counts[found.status] += 1
                due = min(due, time.monotonic() + seconds)
                group.append(found)
            if group and (time.monotonic() >= due or not running):
                yield group
                group, due = [], math.inf
        if self._error is not None:
            raise self._error

    @property
    def remaining(self) -> tuple[Prompt, ...]:
        """Prompts without an outcome: not reached before the run stopped."""
        return tuple(self._unfinished.values())

    @property
    def counts(self) -> dict[str, int]:
        """Outcomes so far by status, and how many prompts have none."""
        return {
            **{status: self._counts[status] for status in ("generated", "reused", "failed")},
            "remaining": len(self._unfinished),
        }

    def close(self) -> None:
        """Send no further request, and wait for those in flight."""
        self._buyer.stopped.set()
        self._buyer.hurried.set()
        self._buyer.throttle.wake()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def stop(self, reason: Stop) -> None:
        """Send no further request; what is in flight is finished. The first reason stands."""
        with self._changed:
            self.stop_reason = self.stop_reason or reason
            self._buyer.stopped.set()
            if reason.by == "interrupted":
                self._buyer.hurried.set()
            self._changed.notify_all()
        self._buyer.throttle.wake()

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._try(job)
        except LedgerError as error:
            self.stop(Stop("store", str(error)))
        except BaseException as error:  # noqa: BLE001 - carried to the thread that iterates
            self._error = self._error or error
            self.stop(Stop("error", f"An unforeseen error: {error!r}"))
        finally:
            self._results.put(_FINISHED)

    def _next(self) -> Job | None:
        """The next job that is due, or `None` when there is no more work."""
        with self._changed:
            while self._open_jobs and not self._buyer.stopped.is_set():
                if self._open_jobs == len(self._suspects):  # nobody is left to ask
                    return _freed(self._suspects.pop())
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
            return None

    def _push(self, job: Job, delay: float) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay if delay else 0.0, next(self._order), job))
            self._changed.notify()

    def _done(self, job: Job, outcomes: Sequence[Outcome]) -> None:
        job.failure = outcomes[0].failure
        for outcome in outcomes:
            self._results.put(outcome)
        self._over(job)

    def _over(self, job: Job, followed_by: Sequence[Job] = ()) -> None:
        with self._changed:
            job.is_over, job.entries, job.purchase = True, [], None  # it is kept, but not all that hangs on it
            self._open_jobs += len(followed_by) - 1
            self._changed.notify_all()
        for follower in followed_by:
            self._push(follower, 0.0)

    def _try(self, job: Job) -> None:
        """One try at a job: outcomes, another try later, or the end of the run."""
        first = self._first.setdefault(job.request.key, job)
        if job.suspect is not None:
            self._end_suspect(job, job.suspect)
        elif first is not job and not first.is_over:
            self._join(first, job)
        elif failure := first.failure or job.failed_before:
            self._end_again(job, failure)
        else:
            job.anew = job.anew and first is job
            self._fulfil(job)

    def _fulfil(self, job: Job) -> None:
        try:
            outcomes = self._buyer.fulfil(job)
            if any(outcome.status == "generated" for outcome in outcomes):
                self._succeeded()
            self._done(job, outcomes)
        except StoppedError:
            pass
        except FailedBeforeError as error:
            self._end_again(job, error.failure)
        except Held:
            self._push(job, HELD_WAIT)
        except NotYet as error:
            self._buyer.pace.pause(error.seconds)
            self._push(job, error.seconds)
        except LimitReached as error:
            self.stop(Stop("cap", str(error)))
        except StoreError as error:
            self._done(job, job.failed(Failure(ErrorClass.STORE, "", str(error), final=False)))
            if not isinstance(error, PictureLostError):  # what cannot be written now cannot be written next time
                self.stop(Stop("store", str(error)))
        except NoRoomError as error:
            self.stop(Stop("store", str(error)))
        except DuomiError as error:
            self._after(job, error)

    def _join(self, first: Job, job: Job) -> None:
        """The same request, come by way of another model: it is bought once."""
        with self._changed:
            if self._suspects.holds(first):
                first.entries += job.entries
                joined = True
            else:
                joined = False
        if joined:
            self._over(job)
        else:
            self._push(job, HELD_WAIT)

    def _succeeded(self) -> None:
        """The service works: what it does not say of others, too, is their own matter."""
        self._has_sold = True
        self._in_a_row.succeeded()
        with self._changed:
            freed = [_freed(suspect) for suspect in self._suspects.pop_all()]
        for job in freed:
            self._push(job, 0.0)

    def _go_elsewhere(self, job: Job, error: DuomiError) -> None:
        """A model that is not served, or a value that it does not take: other models for those that may have them.

        Without any a prompt that chose the model (or value) itself fails; else all would fail so, and the run stops.
        """
        moved, left = self._buyer.fallbacks.reroute(job.entries, error)
        groups: dict[str, Job] = {}
        for entry in moved:
            group = Job(entry.request, [], anew=job.anew, started_at=job.started_at)
            groups.setdefault(entry.request.key, group).entries.append(entry)
        if not left:
            self._over(job, list(groups.values()))
            return
        for group in groups.values():
            with self._changed:
                self._open_jobs += 1
            self._push(group, 0.0)
        job.entries = left
        own = [entry.prompt.overrides for entry in left]
        if any(mine.model for mine in own) or (
            isinstance(error, ConfigurationError) and any(m.explicit() for m in own)
        ):
            advice = error.error_class.policy.advice_to_all
            told = (
                ModelNotServed(f"{error.message} {advice}", error.code) if isinstance(error, ModelNotServed) else error
            )
            self._end(job, told, "refused", final=True)
        else:
            self._stop_for_all(job, error)

    def _stop_for_all(self, job: Job, error: DuomiError) -> None:
        """Stop, and have the next run try another prompt first: this one may be the only one, after all."""
        words = self._buyer.fallbacks.describe(error) if isinstance(error, ModelNotServed) else str(error)
        advice = error.error_class.policy.advice_to_all
        self.stop(Stop("service", f"{words} {advice}", error.error_class, error.code))
        self._endings.note(job, error)

    def _after(self, job: Job, error: DuomiError) -> None:
        """What an API error means for its own job, and for the run."""
        job.attempts += job.purchase is not None
        if stop := self._in_a_row.failed(job, error, self._buyer.throttle.width):
            self.stop(stop)
        match self._reaction(error):
            case Reaction.REFUSE:
                self._buyer.throttle.answered()  # the service works: it is this prompt that it refuses
                self._end(job, error, "refused", final=True)
            case Reaction.ASK_OTHERS:
                self._ask_others(job, error)
            case Reaction.OTHER_MODEL:
                self._go_elsewhere(job, error)
            case Reaction.STOP:
                self._stop_for_all(job, error)
            case Reaction.WAIT:
                self._wait_and_try(job, error)
            case Reaction.REPEAT:
                self._repeat(job, error)
            case Reaction.GIVE_UP:
                self._end(job, error, "failed")
            case Reaction.LOOK_LATER:
                self._look_later(job, error)
            case unforeseen:
                assert_never(unforeseen)

    def _reaction(self, error: DuomiError) -> Reaction:
        """What the policy says; but where only words say whom it concerns, and asking is free, others are asked."""
        reaction = error.error_class.policy.reaction
        has_other = isinstance(error, ModelNotServed) and self._buyer.settings.fallback_models
        if not error.by_words or error.billed is not Billed.NO or has_other:
            return reaction
        says_whom = (Reaction.REFUSE, Reaction.STOP, Reaction.OTHER_MODEL)
        return Reaction.ASK_OTHERS if reaction in says_whom else reaction

    def _repeat(self, job: Job, error: DuomiError) -> None:
        """Ask again what may be lost, as long as that may cost no more than is allowed."""
        if self._buyer.ledger.lost_answers(job.request.key) >= self._buyer.limits.lost_answers:
            self._end(job, error, "failed", final=True)
            return
        if self._paid_state(job):  # a task that ended: it has nothing more to say
            self._follow(job, error)
        self._push(job, _backoff(job.attempts))

    def _follow(self, job: Job, error: DuomiError) -> None:
        """End a job's chain, so that the next try begins a new one."""
        self._endings.record(job, "failed", error)
        job.given_up = _chain(job).id

    def _wait_and_try(self, job: Job, error: DuomiError) -> None:
        wait = error.retry_after if error.retry_after is not None else _backoff(job.attempts)
        self._buyer.throttle.pushed_back()
        if isinstance(error, RateLimited):
            self._buyer.pace.pause(wait)
        if job.attempts < self._buyer.settings.max_attempts:
            self._push(job, wait)
        else:
            self._end(job, error, self._paid_state(job) or "failed")

    def _ask_others(self, job: Job, error: DuomiError) -> None:
        """Leave a job open whose answer does not say whom it concerns, until others have been asked.

        It is its own matter where it met the same in an earlier run, and others had pictures then or since; or where
        others have in this run, and nobody is left whom a stop would spare.
        """
        first, chain = job.entries[0], job.entries[0].purchase
        met_before = first.met_trouble and chain is not None and chain.error_class == error.error_class
        if chain is not None and met_before and self._buyer.ledger.has_sold_since(chain.updated_at - SAME_TIME):
            self._end(job, error, "refused", final=True)
            return
        with self._changed:
            stop = self._suspects.add(job, error)
            spares_nobody = self._open_jobs == len(self._suspects) and self._has_sold
        if stop and not spares_nobody:
            self.stop(stop)
        self._endings.note(job, error)
        with self._changed:
            self._changed.notify_all()

    def _end_suspect(self, job: Job, error: DuomiError) -> None:
        """Others succeeded, or there are none: it is this prompt's own matter.

        What speaks of key, balance or model, or is a gateway's page, and nobody else was there to be compared with, is
        not known to be: it stays a failure for now where the key has bought something before, and stops the run where
        it never has.
        """
        is_own = error.error_class in (ErrorClass.UNKNOWN, ErrorClass.REFUSED)
        if self._has_sold or (is_own and error.is_own):
            self._end(job, error, "refused", final=True)
        elif is_own or self._buyer.ledger.has_sold_at(self._buyer.settings.service_identity):
            self._end(job, error, "failed")
        else:
            self.stop(stop_of_all([Suspect(job, error)]))

    def _look_later(self, job: Job, error: DuomiError) -> None:
        """What is paid stays known to the next run, as long as there is hope."""
        if isinstance(error, TaskTimedOut):
            self._end_or_rebuy(job, error)
        elif isinstance(error, NotDownloaded) and not self._may_be_fetched(job, error):
            self._end(job, error, "failed")
        else:
            self._end(job, error, self._paid_state(job) or "failed")

    def _may_be_fetched(self, job: Job, error: NotDownloaded) -> bool:
        """Whether an address may still lead to its picture: not after a definite no in two runs."""
        before = job.planned_failure
        denied_before = before is not None and before.error_class is ErrorClass.NOT_DOWNLOADED and before.code in GONE
        return self._buyer.fetcher.address_lives(_chain(job).id) and not (error.definite and denied_before)

    def _end_or_rebuy(self, job: Job, error: TaskTimedOut) -> None:
        """A task that timed out stays known for the next run; one that had its second chance is given up."""
        if not error.late:
            self._end(job, error, "submitted")
            return
        self._follow(job, error)
        self._push(job, 0.0)

    def _paid_state(self, job: Job) -> End | None:
        """The state of a chain that is paid and must stay known; `None` of one that is not."""
        state = self._buyer.ledger.purchase(_chain(job).id).state
        return state if state == "submitted" or state == "ready" else None  # noqa: PLR1714 - for the type checker

    def _end(self, job: Job, error: DuomiError, end: End, *, final: bool = False) -> None:
        failure = Failure.of(error, final=final)
        self._endings.record(job, end, error)
        if end in ("refused", "failed"):
            self._endings.record_on_original_request(job, failure)
        self._done(job, job.failed(failure))

    def _end_again(self, job: Job, failure: Failure) -> None:
        """The failure that the very same request met already; nothing is sent."""
        self._endings.record_on_original_request(job, failure)
        self._done(job, job.failed(failure))


def _freed(suspect: Suspect) -> Job:
    suspect.job.suspect = suspect.error
    return suspect.job


def _chain(job: Job) -> Any:
    if job.purchase is None:
        raise RuntimeError("a job failed at the API before it was claimed")
    return job.purchase


def _backoff(attempt: int) -> float:
    """Seconds before the next try: growing, with jitter so that workers do not come back together."""
    return min(FIRST_BACKOFF * 2.0 ** (attempt - 1), MAX_BACKOFF) * random.uniform(0.5, 1.0)  # noqa: S311


def _urgency(job: Job) -> tuple[int, float]:
    """Paid pictures first, those closest to the end of their address before the others; then what costs nothing.

    Last what met an error that did not say whom it concerns, or ended a run: another prompt may show that it does not
    concern all.
    """
    first, chain = job.entries[0], job.entries[0].purchase
    if first.resumes and chain is not None and chain.state in ("ready", "submitted"):
        return (0 if chain.state == "ready" else 1, chain.answered_at or chain.updated_at)
    if first.reusable and not job.anew:
        return (2, 0.0)
    return (4 if first.met_trouble else 3, 0.0)
