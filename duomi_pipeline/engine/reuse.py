"""Prompts that have the wanted pictures already: many are recorded in one transaction, and no picture is decoded."""

import time
from collections.abc import Callable, Sequence

from duomi_pipeline.duomi import ErrorClass
from duomi_pipeline.engine.job import Job
from duomi_pipeline.engine.outcome import Failure, Outcome, Status
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.save import Saver
from duomi_pipeline.images import PictureLostError
from duomi_pipeline.ledger import Ledger, Selection

AT_ONCE = 500  # prompts of one transaction


def has_own_pictures(job: Job) -> bool:
    """Whether each prompt of a job has recorded pictures of its own: nothing is bought, resumed or copied."""
    return not job.forced and all(
        entry.reusable and not entry.resumes and entry.reusable[0].prompt_id == entry.prompt.id for entry in job.entries
    )


def reuse(
    jobs: Sequence[Job], ledger: Ledger, saver_of: Callable[[PlannedPrompt, int], Saver]
) -> list[tuple[Job, list[Outcome]]]:
    """Make the recorded pictures of these jobs' prompts their current ones; a damaged one fails its job alone.

    Args:
        jobs: for which `has_own_pictures` holds; at most `AT_ONCE`.
        ledger: which records it in one transaction.
        saver_of: gives the saver for a prompt and its number of pictures.
    """
    purchases = ledger.purchases({entry.reusable[0].purchase_id for job in jobs for entry in job.entries})
    ended, selections = [], list[Selection]()
    for job in jobs:
        job.started_at = job.started_at or time.monotonic()
        try:
            own = [saver_of(e, len(e.reusable)).selection(e.prompt, e.request, e.reusable) for e in job.entries]
        except PictureLostError as error:
            ended.append((job, job.failed(Failure(ErrorClass.STORE, "", str(error), final=False))))
            continue
        selections += own
        found = zip(job.entries, own, strict=True)
        ended.append((job, [outcome_of(job, e, s, purchases[s.purchase_id].seed) for e, s in found]))
    ledger.select_all(selections)
    return ended


def outcome_of(job: Job, entry: PlannedPrompt, selection: Selection, seed: int | None) -> Outcome:
    """The outcome of a prompt whose picture was paid before; without a thumbnail: an earlier run made one."""
    return Outcome(
        prompt=entry.prompt,
        request=entry.request,
        status=Status.REUSED,
        files=selection.files,
        selection=selection,
        seed=entry.request.seed if seed is None else seed,
        latency=time.monotonic() - job.started_at,
    )
