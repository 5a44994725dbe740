"""The work of one run: the queue of jobs, the workers, stopping. Yields outcomes as they finish.

Buying one request is in `purchase`; deciding what an error means is in `verdict`.
"""

import heapq
import itertools
import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from duomi_pipeline.duomi.errors import DuomiError
from duomi_pipeline.duomi.policy import ErrorClass
from duomi_pipeline.engine.evidence import Suspect, Suspects
from duomi_pipeline.engine.flow_control import FlowControl
from duomi_pipeline.engine.job import Endings, Job
from duomi_pipeline.engine.not_sent import FailedBeforeError, NoRoomError, StoppedError
from duomi_pipeline.engine.outcome import Failure, Outcome, Status, Stop, StoppedBy
from duomi_pipeline.engine.purchase import Buyer
from duomi_pipeline.engine.reuse import AT_ONCE, has_own_pictures, reuse
from duomi_pipeline.engine.verdict import Judge, Verdict
from duomi_pipeline.images import PictureLostError, StoreError
from duomi_pipeline.ledger import Held, LedgerError, LedgerLostError, LimitReached, NotYet, PurchaseState
from duomi_pipeline.prompts import Prompt


class Batch:
    """The work of one run; iterate over it once for its outcomes.

    Args:
        jobs: the requests.
        buyer: buys one request.
        judge: decides what an error means.
        endings: records how requests ended without a picture.
        flow: decides when a request may start.

    Attributes:
        stop_reason: why the run stopped early, `None` if it did not.
    """

    def __init__(
        self, jobs: Sequence[Job], buyer: Buyer, judge: Judge, endings: Endings, flow: FlowControl, requests: int
    ) -> None:
        self._buyer = buyer
        self._judge = judge
        self._endings = endings
        self._flow = flow
        self.requests = requests
        self._results: queue.Queue[Outcome | None] = queue.Queue()  # `None`: a worker has ended
        self._due: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._open_jobs = len(jobs)
        self._unfinished = {entry.prompt.id: entry.prompt for job in jobs for entry in job.entries}
        self._first = {job.request.key: job for job in jobs}
        self._counts: Counter[str] = Counter()
        self.stop_reason: Stop | None = None
        self._error: BaseException | None = None
        self._suspects = Suspects()
        self._has_sold = False
        self._ready = [job for job in jobs if has_own_pictures(job)]
        ready = set(map(id, self._ready))
        for job in sorted((job for job in jobs if id(job) not in ready), key=_urgency):
            self._push(job, 0.0)
        self._threads = [
            threading.Thread(target=self._work, name=f"duomi-{number}", daemon=True)
            for number in range(min(buyer.settings.max_concurrency, len(jobs)))
        ]

    def __iter__(self) -> Iterator[Outcome]:
        """Start the work and yield each outcome as soon as it exists; raises as `groups` does."""
        for group in self.groups(0.0):
            yield from group

    def groups(self, seconds: float) -> Iterator[list[Outcome]]:
        """Start the work and yield outcomes in groups, so that the caller can process several at once.

        Args:
            seconds: how long to collect outcomes for one group.

        Raises:
            Exception: an unexpected error of a worker; requests in flight have been finished and recorded.
        """
        for thread in self._threads:
            thread.start()
        running, group, due = len(self._threads), list[Outcome](), math.inf
        while running:
            try:
                # With a time-out, because Windows does not deliver Ctrl-C to a wait without one.
                found = self._results.get(timeout=min(max(due - time.monotonic(), 0.0), 1.0))
            except queue.Empty:
                pass
            else:
                if found is None:
                    running -= 1
                else:
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
    def in_flight(self) -> int:
        """Requests that were sent and have no picture yet; taken without a lock, also for a signal handler."""
        return self._flow.width.in_flight

    @property
    def counts(self) -> dict[str, int]:
        """Outcomes so far by status; `remaining`: prompts without an outcome."""
        return {
            **{status.value: self._counts[status] for status in Status},
            "remaining": len(self._unfinished),
        }

    def close(self) -> None:
        """Send no further request, and wait for those in flight."""
        self._flow.stop(hurry=True)
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def stop(self, reason: Stop) -> None:
        """Send no further request; what is in flight is finished. The first reason stands."""
        with self._changed:
            self.stop_reason = self.stop_reason or reason
            self._flow.stop(hurry=reason.by is StoppedBy.INTERRUPTED)
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            while ready := self._next_ready():
                for reused, outcomes in reuse(ready, self._buyer.ledger, self._buyer.saver_of):
                    self._done(reused, outcomes)
            while (job := self._next()) is not None:
                self._try(job)
        except LedgerLostError as error:
            self.stop(Stop(StoppedBy.LOST, f"{error} Nothing more is sent."))
        except LedgerError as error:
            advice = "Mend the ledger, then start again; nothing that was paid is bought twice."
            self.stop(Stop(StoppedBy.STORE, str(error), advice=advice))
        except BaseException as error:  # noqa: BLE001 - carried to the thread that iterates
            self._error = self._error or error
            self.stop(Stop(StoppedBy.ERROR, f"An unforeseen error: {error!r}"))
        finally:
            self._results.put(None)

    def _next_ready(self) -> list[Job]:
        """Some of the jobs that cost nothing; none once the run is stopped."""
        with self._changed:
            some, self._ready = self._ready[:AT_ONCE], self._ready[AT_ONCE:]
            return [] if self._flow.stopped.is_set() else some

    def _next(self) -> Job | None:
        """The next job that is due, or `None` when there is no more work."""
        with self._changed:
            while self._open_jobs and not self._flow.stopped.is_set():
                if self._open_jobs == len(self._suspects):  # no other prompt is left to try
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

    def _over(self, job: Job) -> None:
        with self._changed:
            job.is_over, job.entries, job.purchase = (
                True,
                [],
                None,
            )  # frees the memory: the job itself stays in `_first`
            self._open_jobs -= 1
            self._changed.notify_all()

    def _try(self, job: Job) -> None:
        """One try at a job: outcomes, another try later, or the end of the run."""
        first = self._first.setdefault(job.request.key, job)
        if job.suspect is not None:
            verdict = self._judge.of_suspect(job, job.suspect, has_sold=self._has_sold)
            self._apply(verdict, job, job.suspect)
        elif first is not job and not first.is_over:
            self._join(first, job)
        elif failure := first.failure or job.failed_before:
            self._end_again(job, failure)
        else:
            job.forced = job.forced and first is job
            self._fulfil(job)

    def _fulfil(self, job: Job) -> None:
        try:
            outcomes = self._buyer.fulfil(job)
            if any(outcome.status == Status.GENERATED for outcome in outcomes):
                self._succeeded()
            self._done(job, outcomes)
        except StoppedError:
            pass
        except FailedBeforeError as error:
            self._end_again(job, error.failure)
        except Held:
            self._push(job, self._flow.waits.held)
        except NotYet as error:
            self._flow.pace.pause(error.seconds)
            self._push(job, error.seconds)
        except LimitReached as error:
            self.stop(Stop(StoppedBy.CAP, str(error), advice=error.advice))
        except StoreError as error:
            self._done(job, job.failed(Failure(ErrorClass.STORE, "", str(error), final=False)))
            if not isinstance(error, PictureLostError):  # the next write would fail, too
                self.stop(Stop(StoppedBy.STORE, str(error)))
        except NoRoomError as error:
            self.stop(Stop(StoppedBy.STORE, str(error)))
        except DuomiError as error:
            job.attempts += job.purchase is not None
            if stop := self._judge.too_many(job, error):
                self.stop(stop)
            self._apply(self._judge.of(job, error), job, error)

    def _apply(self, verdict: Verdict, job: Job, error: DuomiError) -> None:
        """Carry out a verdict."""
        if verdict.stop is not None:
            self.stop(verdict.stop)
        with self._changed:
            self._open_jobs += len(verdict.followed_by)
        for follower in verdict.followed_by:
            self._push(follower, 0.0)
        if verdict.failure is not None:
            self._done(job, job.failed(verdict.failure))
        elif verdict.retry_in is not None:
            self._push(job, verdict.retry_in)
        elif verdict.asks_others:
            self._wait_for_others(job, error)
        elif verdict.stop is None:
            self._over(job)
        else:  # The job stays open. The next run tries other prompts first: perhaps only this prompt fails.
            self._endings.note(job, error)

    def _wait_for_others(self, job: Job, error: DuomiError) -> None:
        """Keep a job open until other prompts were tried: its answer does not say whether it concerns this prompt only.

        Several such answers stop the run, unless another prompt has succeeded and no other job is left to stop.
        """
        with self._changed:
            stop = self._suspects.add(job, error)
            spares_nobody = self._open_jobs == len(self._suspects) and self._has_sold
        if stop and not spares_nobody:
            self.stop(stop)
        self._endings.note(job, error)
        with self._changed:
            self._changed.notify_all()

    def _join(self, first: Job, job: Job) -> None:
        """Add a job to an earlier one with the same request (from a fallback model), so that it is bought once."""
        with self._changed:
            if self._suspects.holds(first):
                first.entries += job.entries
                joined = True
            else:
                joined = False
        if joined:
            self._over(job)
        else:
            self._push(job, self._flow.waits.held)

    def _succeeded(self) -> None:
        """Record that the service works: the suspects are tried next, and each is then judged by itself."""
        self._has_sold = True
        self._judge.in_a_row.succeeded()
        with self._changed:
            freed = [_freed(suspect) for suspect in self._suspects.pop_all()]
        for job in freed:
            self._push(job, 0.0)

    def _end_again(self, job: Job, failure: Failure) -> None:
        """End a job with a failure that its request met before; nothing is sent."""
        self._endings.record_on_original_request(job, failure)
        self._done(job, job.failed(failure))


def _freed(suspect: Suspect) -> Job:
    suspect.job.suspect = suspect.error
    return suspect.job


def _urgency(job: Job) -> tuple[int, float]:
    """Sort key: paid pictures first (the address that expires first before the others), then what costs nothing.

    Suspects come last: a success of another prompt shows that their error does not concern all prompts.
    """
    first, purchase = job.entries[0], job.entries[0].purchase
    if first.resumes and purchase is not None and purchase.state in (PurchaseState.READY, PurchaseState.SUBMITTED):
        return (0 if purchase.state == PurchaseState.READY else 1, purchase.answered_at or purchase.updated_at)
    if first.reusable and not job.forced:
        return (2, 0.0)
    return (4 if first.is_suspect else 3, 0.0)
