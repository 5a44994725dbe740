"""The result of a prompt in a run (`Outcome`, `Failure`), and why a run stopped (`Stop`)."""

from dataclasses import dataclass
from enum import StrEnum

from duomi_pipeline.duomi import DuomiError, ErrorClass, ImageRequest
from duomi_pipeline.ledger import PictureFile, Selection
from duomi_pipeline.prompts import Prompt


class Status(StrEnum):
    """The result of a prompt in one run."""

    GENERATED = "generated"
    REUSED = "reused"
    FAILED = "failed"


class StoppedBy(StrEnum):
    """What stopped a run early; decides the exit code."""

    SERVICE = "service"
    CAP = "cap"
    INTERRUPTED = "interrupted"
    STORE = "store"
    LOST = "lost"  # the ledger or the folder of pictures is lost
    ERROR = "error"


@dataclass(frozen=True)
class Failure:
    """Why a prompt has no new picture.

    Attributes:
        error_class: its class; the policy of the class says what is done.
        code: the service's code, may be empty.
        message: the service's message.
        final: whether the same request would fail again.
    """

    error_class: ErrorClass
    code: str
    message: str
    final: bool

    @classmethod
    def of(cls, error: DuomiError, *, final: bool) -> "Failure":
        """The failure for an API error."""
        return cls(error.error_class, error.code, error.message, final)

    def __str__(self) -> str:
        return f"{self.message} ({self.error_class}{f' {self.code}' if self.code else ''})"


@dataclass(frozen=True)
class Outcome:
    """One prompt's result.

    Attributes:
        files: its current pictures, empty if it failed and had none.
        selection: the purchase of its current pictures.
        seed: the seed that the service reported, else the one that was sent.
        attempts: tries in this run; 0 where nothing was sent.
        latency: seconds from the first try to the saved file.
        thumbnail: a small WebP of the first picture.
        cost: price of the pictures bought for it, `None` where no price is set.
    """

    prompt: Prompt
    request: ImageRequest
    status: Status
    files: tuple[PictureFile, ...] = ()
    selection: Selection | None = None
    seed: int | None = None
    failure: Failure | None = None
    attempts: int = 0
    latency: float = 0.0
    cost: float | None = None
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class Stop:
    """Why no further request is sent.

    Attributes:
        by: what stopped the run.
        message: what happened.
        error_class, code: of the API error that stopped it, if one did.
        advice: what to do next; empty: the general advice for `by`.
    """

    by: StoppedBy
    message: str
    error_class: ErrorClass | None = None
    code: str = ""
    advice: str = ""


INTERRUPTED = Stop(StoppedBy.INTERRUPTED, "Interrupted. Start again to go on; nothing that was paid is bought twice.")
