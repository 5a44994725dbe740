"""Frozen records of the ledger's rows. `ledger` writes them, `queries` reads them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class PurchaseState(StrEnum):
    """The last step of a purchase that was written; the values stand in the database."""

    PLANNED = "planned"  # nothing is sent, or what was sent was not taken
    SUBMITTING = "submitting"  # a POST is on the wire
    SUBMITTED = "submitted"  # the service took a task
    READY = "ready"  # paid; the pictures are there to be downloaded
    SAVED = "saved"
    REFUSED = "refused"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"  # the answer was lost: it may have been billed


class Billing(StrEnum):
    """What is known of one POST's price; the values stand in the database."""

    SENT = "sent"  # on the wire: its price is reserved
    BILLED = "billed"
    FREE = "free"
    AMBIGUOUS = "ambiguous"  # the answer was lost: it may have been billed


class Origin(StrEnum):
    """How a prompt came to a picture file; the values stand in the database and in the files."""

    GENERATED = "generated"
    REUSED = "reused"  # a copy of what another prompt's identical request paid
    ADOPTED = "adopted"  # found on disk, of a run that died before it could record it


@dataclass(frozen=True, slots=True)
class Purchase:
    """The way of one request, from plan to saved pictures or to its end.

    Attributes:
        state: the last step that was written; each is written before what it announces happens.
        run_id: the run that works on it, if any.
        task_id: of an asynchronous task that the service accepted.
        image_urls: addresses of pictures that are paid and not yet saved.
        answered_at: when these addresses came; they expire within the hour.
        retry_at: when a failure may be tried again.
        service: that sold it, and the key it was asked with; `None` where that was never noted.
    """

    id: int
    request_key: str
    request: str
    state: PurchaseState
    created_at: float
    updated_at: float
    run_id: str | None = None
    task_id: str | None = None
    image_urls: tuple[str, ...] = ()
    answered_at: float | None = None
    seed: int | None = None
    error_class: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    retry_at: float | None = None
    service: str | None = None

    @property
    def content(self) -> Mapping[str, Any]:
        """What was asked, and of whom: `ImageRequest.content`; the fields that were sent are its `body`."""
        return MappingProxyType(json.loads(self.request))

    @property
    def seed_used(self) -> int | None:
        """The seed that the service reported, else the one that was sent; `None` where there was none."""
        return self.seed if self.seed is not None else self.content["body"].get("seed")

    @property
    def is_new(self) -> bool:
        """Whether nothing has happened to it since it was planned."""
        return self.state == PurchaseState.PLANNED and self.updated_at == self.created_at


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One saved file of a purchase, made for one prompt.

    Attributes:
        perceptual_hash, contrast: see `images.look.Look`; `None` where that was never looked at.
    """

    prompt_id: str
    purchase_id: int
    position: int
    file: str
    bytes: int
    size: str
    received_size: str
    origin: Origin
    saved_at: float
    perceptual_hash: str | None = None
    contrast: float | None = None


@dataclass(frozen=True, slots=True)
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
    currency: str
    pictures: int
    billing: Billing


@dataclass(frozen=True, kw_only=True)
class PaidAnswer:
    """A paid answer that the ledger may not know, as it was kept elsewhere.

    Attributes:
        sent_at, kept_at: the POST went out after the one and before the other (seconds since 1970).
        pictures, price, currency: what the POST asked for, and what that cost; `None` where unknown.
        service: as in `Purchase`.
    """

    request_key: str
    sent_at: float
    kept_at: float
    pictures: int
    price: float | None
    currency: str
    service: str | None


@dataclass(frozen=True)
class Cost:
    """What one purchase was billed, in the currency that was set when it was."""

    amount: float
    currency: str


@dataclass(frozen=True)
class Money:
    """What was spent; `None` where a price was not known, or where it was spent in several currencies.

    Attributes:
        billed: pictures that were billed for sure.
        maybe_billed: pictures of requests whose answer was lost.
        reserved: pictures of requests that are on the wire now.
        reused: pictures that another prompt's identical request had paid already.
        spent, maybe_spent: prices of the first two.
        currency: of both; `None` where nothing was spent, or in several.
        amounts: what was spent, by currency; empty where a price was not known.
    """

    billed: int
    maybe_billed: int
    reserved: int
    reused: int
    spent: float | None
    maybe_spent: float | None
    currency: str | None = None
    amounts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        trigger: what started it: `ui`, `cli`, `sensor`, `schedule`, `python`.
    """

    id: str
    trigger: str
    started_at: float
    ended_at: float | None
    stopped_by: str | None
    message: str | None
    counts: dict[str, int]


def record_values(record: PictureFile | Selection) -> dict[str, Any]:
    """The fields of a record by name, as they stand in its table."""
    return {field.name: getattr(record, field.name) for field in fields(record)}
