"""Waiting for one asynchronous task. Only the service's word or the total time-out ends it: it is paid.

A task that the service does not show concerns itself alone; a task of another service, or made with another key, is
not asked for at all.
"""

import random
import time
from dataclasses import dataclass

from duomi_pipeline.duomi import DuomiClient, ImageRequest
from duomi_pipeline.duomi.answers import Empty, Pictures, Waiting
from duomi_pipeline.duomi.classify import is_about_content
from duomi_pipeline.duomi.errors import (
    NoPicture,
    PromptRefused,
    RateLimited,
    ServiceBusy,
    TaskDenied,
    TaskElsewhere,
    TaskTimedOut,
)
from duomi_pipeline.ledger import Ledger, Purchase
from duomi_pipeline.settings import Settings

MAX_POLL_INTERVAL = 30.0  # seconds
LATE_POLLS = 3  # looks at a task that timed out in an earlier run, before its request may be bought again
DENIED_POLLS = 3  # looks that the service does not allow, one after the other, before the next run looks again
FRESH = 60.0  # seconds for which a task may not be found yet
EMPTY_POLLS = 5  # looks at a task that is done and has no picture, before it is taken at its word


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
        """Raise `TaskElsewhere` where a purchase is of another service: the number of its task means nothing here."""
        if self.are_elsewhere(purchase):
            raise TaskElsewhere(f"task {purchase.task_id} is at {where(purchase)}, not at the service of the settings")

    def wait(self, request: ImageRequest, purchase: Purchase) -> Pictures:
        """Poll a task until it has pictures.

        Raises:
            TaskElsewhere, TaskDenied, TaskTimedOut: it is left to the next run.
            LedgerLostError: nobody would know of it.
            PromptRefused, TaskFailed, NoPicture: it ended without a picture.
        """
        task_id, resumed = purchase.task_id or "", purchase.state == "submitted"
        if resumed:
            self.check_is_here(purchase)
        sent_at = self.ledger.sent_at(purchase.id)
        deadline = sent_at + self.settings.task_timeout
        looks = _Looks(late=resumed and time.time() >= deadline)
        interval = self.settings.poll_interval
        while True:
            if looks.any or not resumed:
                time.sleep(interval * random.uniform(0.8, 1.2))  # noqa: S311 - jitter is no secret
                interval = min(interval * 1.3, MAX_POLL_INTERVAL)
            self.ledger.database.check()  # where it is lost, the task is kept, and need not be waited for
            try:
                found: Pictures | Waiting | Empty = self.client.poll(request, task_id)
                looks.answered += 1
                looks.denied = 0
            except TaskDenied as error:
                found = Waiting()
                looks.failed += 1
                is_fresh = error.code == "404" and time.time() < sent_at + FRESH
                looks.denied += not is_fresh
                if looks.denied >= DENIED_POLLS:
                    raise
            except (ServiceBusy, RateLimited):  # says nothing about the task
                found = Waiting()
                looks.failed += 1
            if isinstance(found, Pictures):
                return found
            if isinstance(found, Empty):
                looks.empty += 1
                if looks.empty >= EMPTY_POLLS:
                    raise _without_picture(found, task_id)
            if time.time() >= deadline and looks.are_enough:
                given_up = looks.late and looks.answered >= LATE_POLLS
                raise TaskTimedOut(f"task {task_id} is not done after {self.settings.task_timeout:g} s", late=given_up)


@dataclass
class _Looks:
    """How often a task was looked at in this run, and what was seen.

    Attributes:
        late: it had timed out in an earlier run already.
    """

    late: bool
    answered: int = 0
    failed: int = 0
    denied: int = 0
    empty: int = 0

    @property
    def any(self) -> bool:
        """Whether it was looked at at all."""
        return bool(self.answered or self.failed)

    @property
    def are_enough(self) -> bool:
        """Whether a task past its time may be given up."""
        return not self.late or self.answered >= LATE_POLLS or self.failed >= 3 * LATE_POLLS


def _without_picture(found: Empty, task_id: str) -> PromptRefused | NoPicture:
    if is_about_content(found.message.replace("_", " ")):
        return PromptRefused(found.message, "task")
    words = f": {found.message}" if found.message else ""
    return NoPicture(f"task {task_id} is done, but has no picture{words}", "task")


def where(purchase: Purchase) -> str:
    """The service of a purchase, in words."""
    return (purchase.service or "another service").replace(" ", ", key ", 1)
