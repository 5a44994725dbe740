"""What can be said of a failure: whom it concerns, whether it was billed, what is done. The rows are in `policy`."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Literal


class Concerns(StrEnum):
    """Whom a failure concerns."""

    PROMPT = "prompt"
    MODEL = "model"
    KEY = "key"
    PACE = "pace"
    SERVICE = "service"
    TASK = "task"  # only this task or picture, which is paid
    MACHINE = "machine"  # this machine or its settings; nothing was sent
    UNKNOWN = "unknown"  # other prompts will show it


class Billed(StrEnum):
    """Whether the failed POST was billed."""

    NO = "no"
    MAYBE = "maybe"
    YES = "yes"


class Reaction(Enum):
    """What a batch does; the values are the text in `docs/operations.md`."""

    REFUSE = "fails its prompt for good; the others go on"
    ASK_OTHERS = "fails its prompt, unless other prompts meet the very same and none succeeds: then it stops the run"
    OTHER_MODEL = "asks a fallback model; without any it stops the run, or fails a prompt that chose the model itself"
    STOP = "stops the run; the prompt stays as it was"
    WAIT = "tries again after a while, up to DUOMI_MAX_ATTEMPTS; then fails its prompt for now"
    REPEAT = "asks again as often as lost answers may be repeated; then fails its prompt for good"
    GIVE_UP = "fails its prompt for good: it was or may have been paid, so only the user may ask again"
    RESUME_LATER = "leaves it to the next run, which looks again at what is paid"


Verdict = Literal[
    "answers",
    "answered before",
    "disabled",
    "no such model",
    "field refused",
    "prompt refused",
    "account",
    "busy",
    "answer lost",
    "no picture",
    "not done",
    "not saved",
    "not asked",
]


@dataclass(frozen=True)
class Policy:
    """The policy of one error class.

    Attributes:
        verdict: the word in `duomi models --probe`.
        advice: what the user should do about a prompt with this error; `{id}` stands for the prompt id.
        advice_to_all: what the user should do where it stopped the run; empty where it never does.
        retried_automatically: whether a later run retries without an explicit choice of the user.
        in_a_row: so many failures of this class without a success between them stop the run; the number of requests in
            flight is added. `None`: they never stop it.
    """

    concerns: Concerns
    billed: Billed
    reaction: Reaction
    verdict: Verdict
    advice: str
    advice_to_all: str = ""
    retried_automatically: bool = False
    in_a_row: int | None = None

    @property
    def exit_code(self) -> int:
        """The exit code that follows from it, for the documentation; `cli.report` decides by what ended the run."""
        return 3 if self.reaction in (Reaction.STOP, Reaction.OTHER_MODEL) else 1
