"""What the ledger tells, as frozen records. Writing them is `Ledger`'s."""

from dataclasses import dataclass
from typing import Literal

PurchaseState = Literal["planned", "submitting", "submitted", "ready", "saved", "refused", "failed", "ambiguous"]
Origin = Literal["generated", "reused", "adopted"]


@dataclass(frozen=True)
class Purchase:
    """One request's chain of steps, from plan to saved pictures or to its end.

    Attributes:
        state: the last step that was written; each is written before what it announces happens.
        run_id: the run that works on it, if any.
        task_id: of an asynchronous task that the service accepted.
        image_urls: addresses of pictures that are paid and not yet saved.
        answered_at: when these addresses were told; they die within the hour.
        retry_at: when a failure may be tried again.
    """

    id: int
    request_key: str
    request: str
    state: PurchaseState
    run_id: str | None
    task_id: str | None
    image_urls: tuple[str, ...]
    answered_at: float | None
    seed: int | None
    error_class: str | None
    error_code: str | None
    error_message: str | None
    retry_at: float | None
    created_at: float
    updated_at: float


@dataclass(frozen=True)
class PictureFile:
    """One saved file of a purchase, made for one prompt."""

    prompt_id: str
    purchase_id: int
    position: int
    file: str
    bytes: int
    size: str
    received_size: str
    origin: Origin
    saved_at: float


@dataclass(frozen=True)
class Selection:
    """Which purchase is a prompt's current one, and of which versions it was made."""

    prompt_id: str
    purchase_id: int
    request_key: str
    prompt_version: str
    settings_fingerprint: str
    selected_at: float
    files: tuple[PictureFile, ...] = ()


@dataclass(frozen=True)
class Post:
    """One POST that was or is on the wire."""

    id: int
    purchase_id: int
    sent_at: float
    answered_at: float | None
    price: float | None
    pictures: int
    billing: Literal["sent", "billed", "free", "ambiguous"]


@dataclass(frozen=True)
class Money:
    """What was spent, in the setting's currency; `None` where no price was known.

    Attributes:
        billed: pictures that were billed for sure.
        maybe_billed: pictures of requests whose answer was lost.
        reserved: pictures of requests that are on the wire now.
        reused: pictures that another prompt's identical request had paid already.
        spent, maybe_spent: prices of the first two.
    """

    billed: int
    maybe_billed: int
    reserved: int
    reused: int
    spent: float | None
    maybe_spent: float | None


@dataclass(frozen=True)
class RunRecord:
    """One run of any door."""

    id: str
    door: str
    started_at: float
    ended_at: float | None
    stopped_by: str | None
    message: str | None
    counts: dict[str, int]
