"""Poll one asynchronous task until the service ends it or the total time-out is reached: it is paid.

A task that the service does not show affects no other prompt. A task of another service or key is not polled.
"""

import random
import time
from dataclasses import dataclass

from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.duomi.answers import Empty, Pictures, Waiting
from duomi_pipeline.duomi.classify import is_about_content
from duomi_pipeline.duomi.client import DuomiClient
from duomi_pipeline.duomi.errors import (
    NoPicture,
    PromptRefused,
    RateLimited,
    ServiceBusy,
    TaskDenied,
    TaskElsewhere,
    TaskTimedOut,
)
from duomi_pipeline.ledger import Ledger, Purchase, PurchaseState
from duomi_pipeline.settings import Settings

MAX_POLL_INTERVAL = 30.0  # seconds
LATE_POLLS = 3  # polls of a task that timed out in an earlier run, before its request may be bought again
DENIED_POLLS = 3  # consecutive polls that the service refuses, before the task is left to the next run
FRESH = 60.0  # seconds in which the service may not find a new task yet
EMPTY_POLLS = 5  # polls of a task that is done without a picture, before it counts as failed


@dataclass(frozen=True)
class Tasks:
    """The tasks of one run; called from many threads."""

    settings: Settings
    client: DuomiClient
    ledger: Ledger

    def are_elsewhere(self, purchase: Purchase) -> bool:
        """Whether a purchase was made at another service or with another key."""
        return purchase.service not in (None, self.settings.service_identity)

    def check_is_here(self, purchase: Purchase) -> None:
        """Raise `TaskElsewhere` if a purchase belongs to another service, where its task id has no meaning."""
        if self.are_elsewhere(purchase):
            raise TaskElsewhere(f"task {purchase.task_id} is at {where(purchase)}, not at the service of the settings")

    def wait(self, request: ImageRequest, purchase: Purchase) -> Pictures:
        """Poll a task until it has pictures.

        Raises:
            TaskElsewhere, TaskDenied, TaskTimedOut: it is left to the next run.
            LedgerLostError: the ledger is lost; its result could not be recorded.
            PromptRefused, TaskFailed, NoPicture: it ended without a picture.
        """
        task_id, resumed = purchase.task_id or "", purchase.state == PurchaseState.SUBMITTED
        if resumed:
            self.check_is_here(purchase)
        sent_at = self.ledger.sent_at(purchase.id)
        deadline = sent_at + self.settings.task_timeout
        polls = _Polls(late=resumed and time.time() >= deadline)
        interval = self.settings.poll_interval
        while True:
            if polls.any or not resumed:
                time.sleep(interval * random.uniform(0.8, 1.2))  # noqa: S311 - jitter is no secret
                interval = min(interval * 1.3, MAX_POLL_INTERVAL)
            self.ledger.check_not_lost()  # if it is lost, the task is kept as an answer instead of being polled
            try:
                found: Pictures | Waiting | Empty = self.client.poll(request, task_id)
                polls.answered += 1
                polls.denied = 0
            except TaskDenied as error:
                found = Waiting()
                polls.failed += 1
                is_fresh = error.code == "404" and time.time() < sent_at + FRESH
                polls.denied += not is_fresh
                if polls.denied >= DENIED_POLLS:
                    raise
            except (ServiceBusy, RateLimited):  # says nothing about the task
                found = Waiting()
                polls.failed += 1
            if isinstance(found, Pictures):
                return found
            if isinstance(found, Empty):
                polls.empty += 1
                if polls.empty >= EMPTY_POLLS:
                    raise _without_picture(found, task_id)
            if time.time() >= deadline and polls.are_enough:
                given_up = polls.late and polls.answered >= LATE_POLLS
                raise TaskTimedOut(f"task {task_id} is not done after {self.settings.task_timeout:g} s", late=given_up)


@dataclass
class _Polls:
    """Counts the polls of a task in this run, by result.

    Attributes:
        late: the task timed out in an earlier run already.
    """

    late: bool
    answered: int = 0
    failed: int = 0
    denied: int = 0
    empty: int = 0

    @property
    def any(self) -> bool:
        """Whether it was polled at all."""
        return bool(self.answered or self.failed)

    @property
    def are_enough(self) -> bool:
        """Whether a task past its time-out may be given up."""
        return not self.late or self.answered >= LATE_POLLS or self.failed >= 3 * LATE_POLLS


def _without_picture(found: Empty, task_id: str) -> PromptRefused | NoPicture:
    if is_about_content(found.message.replace("_", " ")):
        return PromptRefused(found.message, "task")
    words = f": {found.message}" if found.message else ""
    return NoPicture(f"task {task_id} is done, but has no picture{words}", "task")


def where(purchase: Purchase) -> str:
    """The service of a purchase, in words."""
    return (purchase.service or "another service").replace(" ", ", key ", 1)
