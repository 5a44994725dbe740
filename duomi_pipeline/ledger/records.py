"""The records that ledger queries return, and their enums. Queries are in `queries`, writes in `ledger`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class PurchaseState(StrEnum):
    """The last recorded step of a purchase; the values are stored in the database."""

    PLANNED = "planned"  # nothing was sent, or the service did not accept it
    SUBMITTING = "submitting"  # a POST is in flight
    SUBMITTED = "submitted"  # the service accepted a task
    READY = "ready"  # paid; the pictures can be downloaded
    SAVED = "saved"
    REFUSED = "refused"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"  # the answer was lost: it may have been billed


class Billing(StrEnum):
    """Whether a POST was billed; the values are stored in the database."""

    SENT = "sent"  # in flight: its price is reserved
    BILLED = "billed"
    FREE = "free"
    AMBIGUOUS = "ambiguous"  # the answer was lost: it may have been billed


class Origin(StrEnum):
    """How a prompt got a picture file; the values are stored in the database and in the files."""

    GENERATED = "generated"
    REUSED = "reused"  # a copy of the picture of another prompt with an identical request
    ADOPTED = "adopted"  # found in the folder; its run died before it recorded the file, or the ledger was lost


class Source(StrEnum):
    """Where prompts come from; the values are stored in the database."""

    TABLE = "table"
    FILES = "files"


class Standing(StrEnum):
    """What the last look found of a prompt; the values are stored in the database."""

    ACTIVE = "active"
    VISITING = "visiting"  # from a folder that was named for one command
    UNUSABLE = "unusable"  # its row or file is there, but cannot be used now
    RETIRED = "retired"  # its row or file is gone


@dataclass(frozen=True, slots=True)
class RegisteredPrompt:
    """What its source last said of a prompt.

    Attributes:
        version: fingerprint of text and overrides.
        kind, origin, file_prefix, image_id, name: as in `prompts.Prompt`, where `kind` is its `source`.
        overrides: a JSON object.
        mark: of its row or file, by which it is known to be unchanged; `None`: it is read with each look.
    """

    prompt_id: str
    source: Source
    standing: Standing
    version: str
    kind: str
    origin: str
    file_prefix: str
    image_id: int | None
    name: str | None
    text: str
    overrides: str
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a source.

    Attributes:
        place: path or address of the source, without a password.
        looked_at: when it began, in seconds since 1970.
        host: name of the machine.
        prompts: how many prompts the source gave.
        left_out: how many rows or files gave none.
        problem: why the source was not read, or not believed; then nothing was retired.
        problems: where and why each was left out.
        changes: how many prompts were new, changed or retired.
        stamp: of the whole source as it was; `None` where it has none.
    """

    source: Source
    place: str
    looked_at: float
    host: str
    prompts: int = 0
    left_out: int = 0
    problem: str | None = None
    problems: tuple[tuple[str, str], ...] = ()
    changes: int = 0
    stamp: str | None = None


@dataclass(frozen=True, slots=True)
class Purchase:
    """The way of one request to saved pictures, or to its failure.

    Attributes:
        state: the last recorded step; each is recorded before it happens.
        run_id: the run that works on it, if any.
        task_id: of an asynchronous task that the service accepted.
        image_urls: URLs of pictures that are paid and not yet saved.
        answered_at: when the service returned these URLs; they expire within the hour.
        retry_at: when it may be tried again after a failure.
        service: the service and a fingerprint of the key; `None` if not recorded.
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
        """The request and its receiver: `ImageRequest.content`; the fields that were sent are its `body`."""
        return MappingProxyType(json.loads(self.request))

    @property
    def seed_used(self) -> int | None:
        """The seed that the service reported, else the one that was sent; `None` if there was none."""
        return self.seed if self.seed is not None else self.content["body"].get("seed")

    @property
    def is_new(self) -> bool:
        """Whether nothing has happened to it since it was planned."""
        return self.state == PurchaseState.PLANNED and self.updated_at == self.created_at


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One saved file of a purchase, made for one prompt.

    Attributes:
        perceptual_hash, contrast: see `images.fingerprint.Look`; `None` if never computed.
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
    """Which purchase is a prompt's current one, and for which versions of prompt and settings it was made."""

    prompt_id: str
    purchase_id: int
    request_key: str
    prompt_version: str
    settings_fingerprint: str
    selected_at: float
    files: tuple[PictureFile, ...] = ()


@dataclass(frozen=True)
class Post:
    """One POST, sent or in flight."""

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
    """A paid answer that was kept as a file; the ledger may not know it.

    Attributes:
        sent_at, kept_at: the POST was sent between these times (seconds since 1970).
        pictures, price, currency: how many pictures the POST requested, and their price; `None` if unknown.
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
    """The billed cost of one purchase, in the currency that was set then."""

    amount: float
    currency: str


@dataclass(frozen=True)
class Money:
    """Money spent; `None` if a price was unknown, or if there are several currencies.

    Attributes:
        billed: pictures that were billed.
        maybe_billed: pictures of requests whose answer was lost.
        reserved: pictures of requests in flight.
        reused: pictures copied from another prompt with an identical request.
        spent, maybe_spent: prices of the first two.
        currency: of both; `None` if nothing was spent, or in several currencies.
        amounts: money spent, by currency; empty if a price was unknown.
    """

    billed: int
    maybe_billed: int
    reserved: int
    reused: int
    spent: float | None
    maybe_spent: float | None
    currency: str | None = None
    amounts: Mapping[str, float] = field(default_factory=dict)

    def less(self, earlier: "Money") -> "Money":
        """What was added since an earlier look at the same money."""
        return Money(
            self.billed - earlier.billed,
            self.maybe_billed - earlier.maybe_billed,
            self.reserved - earlier.reserved,
            self.reused - earlier.reused,
            _less(self.spent, earlier.spent),
            _less(self.maybe_spent, earlier.maybe_spent),
            self.currency,
            {currency: value - earlier.amounts.get(currency, 0.0) for currency, value in self.amounts.items()},
        )


def _less(price: float | None, earlier: float | None) -> float | None:
    return None if price is None or earlier is None else round(price - earlier, 9)  # as whole billionths are kept


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
