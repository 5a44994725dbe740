"""Whom a failure concerns, told by what other prompts met: one prompt's trouble is that prompt's until others say so.

Two kinds of evidence. *Suspects*: an answer that does not say whom it is about; three different prompts that met the
very same, with no success in between, are evidence about all. *In a row*: so many failures of one class that
something is wrong with the service, whatever each of them says.
"""

import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from duomi_pipeline.common.text import one_line
from duomi_pipeline.duomi import DuomiError, ErrorClass
from duomi_pipeline.duomi.classify import without_prompt
from duomi_pipeline.engine.job import Job
from duomi_pipeline.engine.outcome import Stop, StoppedBy

ENOUGH = 3  # different prompts
ENOUGH_REFUSED = 10  # of which only words say that they were refused: many bad prompts may stand together
_NAMED = 3  # prompts in a text
_MAX_WORDS = 200  # characters of the service's words in a text


@dataclass(frozen=True)
class Suspect:
    """A job and the answer that it met."""

    job: Job
    error: DuomiError

    @property
    def signature(self) -> tuple[str, str, str]:
        """What makes two answers the very same; its own prompt, numbers of requests and times are left out."""
        words = without_prompt(self.error.message, self.job.request.prompt)
        return self.error.error_class, self.error.code, re.sub(r"\S*\d\S*", "#", words)


class Suspects:
    """The jobs of a run whose answers do not say whom they concern. Used under the batch's lock."""

    def __init__(self) -> None:
        self._found: dict[str, Suspect] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, job: Job, error: DuomiError) -> Stop | None:
        """One more. Returns why to stop, once there is evidence that it concerns all."""
        self._found[job.request.key] = new = Suspect(job, error)
        same = [one for one in self._found.values() if one.signature == new.signature]
        enough = ENOUGH_REFUSED if error.error_class is ErrorClass.REFUSED else ENOUGH
        return None if len(same) < enough else stop_of_all(same)

    def pop_all(self) -> list[Suspect]:
        """All of them, who are none any more: a success, or no one left to ask, makes each its own case."""
        found = list(self._found.values())
        self._found.clear()
        return found

    def pop(self) -> Suspect:
        """One of them."""
        return self._found.pop(next(iter(self._found)))

    def holds(self, job: Job) -> bool:
        """Whether a job waits here."""
        return job.request.key in self._found


def stop_of_all(same: Sequence[Suspect]) -> Stop:
    """The stop that several prompts with the same answer are the evidence for."""
    error = same[0].error
    named = ", ".join(one.job.first_id for one in same[:_NAMED])
    said = one_line(error.message, _MAX_WORDS)
    evidence = f'{len(same)} different prompts ({named}) met {error.code} "{said}", none succeeded.'
    if len(same) == 1:
        evidence = f'{named} met "{said}" (code {error.code}), and no other prompt succeeded.'
    return Stop(
        StoppedBy.SERVICE, f"{evidence} {error.error_class.policy.advice_to_all}", error.error_class, error.code
    )


class InARow:
    """Counts failures by class since the last success; shared by the workers of one run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()
        self._prompts: dict[str, set[str]] = {}

    def succeeded(self) -> None:
        """A picture was made: the service works."""
        with self._lock:
            self._failures.clear()
            self._prompts.clear()

    def failed(self, job: Job, error: DuomiError, in_flight: int) -> Stop | None:
        """Count a failure. Returns why to stop, once there are too many.

        Args:
            job: that met it.
            error: it.
            in_flight: so many can fail together without meaning more than one.
        """
        limit = error.error_class.policy.in_a_row
        if limit is None:
            return None
        with self._lock:
            self._failures[error.error_class] += 1
            prompts = self._prompts.setdefault(error.error_class, set())
            prompts.add(job.request.key)
            count, different = self._failures[error.error_class], len(prompts)
        spare = in_flight if limit > ENOUGH else 0
        if count < limit + spare or different < ENOUGH:
            return None
        return Stop(
            StoppedBy.SERVICE,
            f"{count} requests of {different} prompts in a row failed the same way, none succeeded; start again later. "
            f"The last one: {error}",
            error.error_class,
            error.code,
        )
