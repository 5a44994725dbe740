"""What a poll is told about a task: not there, waiting, failed, done, done without a picture.

Knows the faults and the journal, and no HTTP. The shapes of the answers are in `responses`.
"""

from typing import Any

from duomi_pipeline.sandbox import responses as answers
from duomi_pipeline.sandbox.faults import Faults, has_word
from duomi_pipeline.sandbox.journal import Books, Purchase
from duomi_pipeline.sandbox.protocols import ServiceError

EMPTY_POLLS = 2
# The progress of a task that never gets done.
ENDLESS_SHARE = 0.99


def task_state(task: Purchase, books: Books, now: float, faults: Faults, base_url: str) -> dict[str, Any]:
    """The state of a task at this poll, which is already counted.

    Args:
        task: The one polled.
        books: Where it is written down that the pictures' URLs were told.
        now: Seconds since 1970.
        faults: In force now.
        base_url: Start of the pictures' URLs.

    Raises:
        ServiceError: The poll fails, which says nothing about the task.
    """
    age = now - task.at
    if age < faults.early_404_seconds or faults.strikes("rate_poll_404", task.key, task.polls):
        raise ServiceError(404, 404, "task not found")
    if faults.strikes("rate_poll_error", task.key, task.polls):
        raise ServiceError(500, 500, "internal server error")
    if age < faults.task_seconds:
        return answers.waiting_answer(task, faults, age / faults.task_seconds)
    if has_word(task.prompt, faults.task_endless):
        return answers.waiting_answer(task, faults, ENDLESS_SHARE)
    if task.outcome != "pictures":
        return answers.failed_answer(task, faults)
    if has_word(task.prompt, faults.task_empty):
        return answers.empty_answer(task, faults)
    books.hand_out(task.token, now, renew=faults.poll_renews_url)
    empty = task.done_polls < EMPTY_POLLS and faults.strikes("rate_empty_success", task.key)
    return answers.empty_answer(task, faults) if empty else answers.done_answer(task, faults, base_url)
