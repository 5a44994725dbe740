"""Evidence of other prompts: does a failure concern one prompt only, or all of them?

Two kinds of evidence. *Suspects*: jobs whose answer does not say whom it concerns; three different prompts with the
same answer and no success in between show that it concerns all. *In a row*: many failures of one class, one after the
other, show that the service has a fault. What a batch then does is decided in `verdict`.
"""

import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from duomi_pipeline.common.text import one_line
from duomi_pipeline.duomi import DuomiError, ErrorClass
from duomi_pipeline.duomi.classify import without_prompt
from duomi_pipeline.duomi.policy import policy_of
from duomi_pipeline.duomi.reactions import Billed, Reaction
from duomi_pipeline.engine.job import Job
from duomi_pipeline.engine.outcome import Stop, StoppedBy

ENOUGH = 3  # different prompts
ENOUGH_REFUSED = 10  # prompts that only a text calls refused: several bad prompts may follow each other
_NAMED = 3  # prompts in a text
_MAX_WORDS = 200  # characters of the service's words in a text


@dataclass(frozen=True)
class Suspect:
    """A job and the error that it got."""

    job: Job
    error: DuomiError

    @property
    def signature(self) -> tuple[str, str, str]:
        """Equal for two answers that mean the same; the prompt itself and all numbers are left out."""
        words = without_prompt(self.error.message, self.job.request.prompt)
        return self.error.error_class, self.error.code, re.sub(r"\S*\d\S*", "#", words)


class Suspects:
    """The jobs of a run whose answers do not say whom they concern. Used under the batch's lock."""

    def __init__(self) -> None:
        self._found: dict[str, Suspect] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, job: Job, error: DuomiError) -> Stop | None:
        """Add a suspect. Returns why to stop, once enough suspects show that the error concerns all prompts."""
        self._found[job.request.key] = new = Suspect(job, error)
        same = [one for one in self._found.values() if one.signature == new.signature]
        enough = ENOUGH_REFUSED if error.error_class is ErrorClass.REFUSED else ENOUGH
        return None if len(same) < enough else stop_of_all(same)

    def pop_all(self) -> list[Suspect]:
        """Remove and return all: after a success each is judged by itself."""
        found = list(self._found.values())
        self._found.clear()
        return found

    def pop(self) -> Suspect:
        """Remove and return one."""
        return self._found.pop(next(iter(self._found)))

    def holds(self, job: Job) -> bool:
        """Whether a job waits here."""
        return job.request.key in self._found


def stop_of_all(same: Sequence[Suspect]) -> Stop:
    """The stop for several prompts with the same answer."""
    error = same[0].error
    named = ", ".join(one.job.first_id for one in same[:_NAMED])
    message = one_line(error.message, _MAX_WORDS)
    evidence = f'{len(same)} different prompts ({named}) met {error.code} "{message}", none succeeded.'
    if len(same) == 1:
        evidence = f'{named} met "{message}" (code {error.code}), and no other prompt succeeded.'
    return Stop(
        StoppedBy.SERVICE, f"{evidence} {error.error_class.policy.advice_to_all}", error.error_class, error.code
    )


class InARow:
    """Counts failures by class since the last success; shared by the workers of one run.

    Args:
        before: error class and request key of each purchase that runs before this one, on whatever machine, paid
            without a picture since the last success. Small runs, one after the other, so stop like a large one.
    """

    def __init__(self, before: Iterable[tuple[str, str]] = ()) -> None:
        self._lock = threading.Lock()
        self._failed: dict[str, list[str]] = {}  # request keys by error class, as in the next one
        self._earlier: dict[str, list[str]] = {}
        for error_class, request_key in before:
            policy = policy_of(error_class)
            # Other errors cost nothing, or leave something paid that is to be fetched, however often it failed.
            if policy is not None and policy.billed is not Billed.NO and policy.reaction is not Reaction.RESUME_LATER:
                self._earlier.setdefault(error_class, []).append(request_key)

    def succeeded(self) -> None:
        """A picture was made: the service works."""
        with self._lock:
            self._failed.clear()
            self._earlier.clear()

    def failed(self, job: Job, error: DuomiError, in_flight: int) -> Stop | None:
        """Count a failure. Returns why to stop, once there are too many.

        Args:
            job: the job that failed.
            error: its error.
            in_flight: requests in flight; they fail together, so the limit grows by this number.
        """
        limit = error.error_class.policy.in_a_row
        if limit is None:
            return None
        with self._lock:
            failed = self._failed.setdefault(error.error_class, [])
            failed.append(job.request.key)
            # A run that has sent nothing yet is not stopped by others: what they paid is to be fetched.
            earlier = [] if job.is_paid_before else self._earlier.get(error.error_class, [])
            count, different = len(earlier) + len(failed), len({*earlier, *failed})
        spare = in_flight if limit > ENOUGH else 0
        if count < limit + spare or different < ENOUGH:
            return None
        included = " (earlier runs included)" if earlier else ""
        return Stop(
            StoppedBy.SERVICE,
            f"{count} requests of {different} prompts in a row{included} failed the same way, none succeeded; start "
            f"again later. The last one: {error}",
            error.error_class,
            error.code,
        )
