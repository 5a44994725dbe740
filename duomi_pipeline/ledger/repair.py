"""Repairs a ledger: records pictures that it does not know, drops records of files that are gone.

These files and their metadata are found by `engine.unknown_files` and `maintenance.reconcile`.
"""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from duomi_pipeline.ledger import statements
from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.leases import Lives, write_ended_run
from duomi_pipeline.ledger.postgresql import LATER, lock_id
from duomi_pipeline.ledger.records import Billing, PictureFile, PurchaseState, record_values
from duomi_pipeline.ledger.schema import OPEN_STATES, foreign_files, pictures, posts, purchases, selections

_AT_ONCE = 100  # purchases per transaction: each is a lock, and the server has a few thousand


@dataclass(frozen=True)
class Renamed:
    """A recorded picture whose file now has another name or size."""

    record: PictureFile
    file: str
    bytes: int


@dataclass(frozen=True)
class FoundPurchase:
    """The pictures of one purchase for one prompt, from the metadata of their files.

    Attributes:
        files: their `purchase_id` is ignored; they get a new one.
        price: of all files together, `None` if unknown.
        was_paid: whether this prompt's request was paid; copies of another prompt's pictures cost nothing.
    """

    request_key: str
    request: str
    prompt_id: str
    prompt_version: str
    settings_fingerprint: str
    seed: int | None
    task_id: str | None
    saved_at: float
    price: float | None
    currency: str
    was_paid: bool
    files: tuple[PictureFile, ...]


@dataclass(frozen=True)
class Findings:
    """What was found in the folder of pictures.

    Attributes:
        purchases: of pictures without a record.
        renamed: recorded pictures whose file has another name or size.
        foreign: sizes of files that are not ours or damaged, by name: they are not opened again.
    """

    purchases: tuple[FoundPurchase, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    foreign: Mapping[str, int] = field(default_factory=dict)


def record_findings(database: Database, found: Findings, lives: Lives) -> int:
    """Record what was found, with its cost; the latest picture of a prompt becomes its current one.

    Safe while runs are active: what another run has recorded meanwhile, or is buying, is skipped. Many are recorded in
    several transactions, so that those runs do not wait long. Returns the number of pictures recorded.
    """
    run_id = f"rebuild-{uuid.uuid4().hex}"
    in_order = sorted(found.purchases, key=lambda purchase: purchase.saved_at)
    some, *others = (in_order[start : start + _AT_ONCE] for start in range(0, max(len(in_order), 1), _AT_ONCE))
    with database.write(*_locks(some)) as connection:
        adopted = sum(_rename(connection, renamed) for renamed in found.renamed)
        for file, size in found.foreign.items():
            connection.execute(delete(foreign_files).where(foreign_files.c.file == file))
            connection.execute(insert(foreign_files).values(file=file, bytes=size))
        if some:
            write_ended_run(connection, run_id, "rebuild")
        adopted += _record(connection, some, run_id, lives)
    for more in others:
        with database.write(*_locks(more)) as connection:
            adopted += _record(connection, more, run_id, lives)
    return adopted


def _locks(found: Sequence[FoundPurchase]) -> list[str]:
    return [*sorted({purchase.request_key for purchase in found}, key=lock_id), "repair"]


def _record(connection: Connection, found: Sequence[FoundPurchase], run_id: str, lives: Lives) -> int:
    """Record the pictures of some purchases, oldest first. Returns the number of pictures."""
    adopted = 0
    for purchase in found:
        begun = _begun(connection, purchase.request_key)
        if _is_recorded(connection, purchase) or (begun and not _is_nothing(connection, begun, lives)):
            continue
        purchase_id = _insert(connection, purchase, run_id, instead_of=begun)
        adopted += len(purchase.files)
        _choose(connection, purchase, purchase_id)
    return adopted


def _rename(connection: Connection, renamed: Renamed) -> int:
    """Record a picture's new name or size. Returns 0 if the record changed meanwhile, else 1."""
    was = (pictures.c.file == renamed.record.file) & (pictures.c.bytes == renamed.record.bytes)
    return connection.execute(update(pictures).where(was).values(file=renamed.file, bytes=renamed.bytes)).rowcount


def _is_recorded(connection: Connection, purchase: FoundPurchase) -> bool:
    names = [file.file for file in purchase.files]
    return connection.execute(select(pictures.c.id).where(pictures.c.file.in_(names)).limit(1)).first() is not None


def _begun(connection: Connection, request_key: str) -> Row[Any] | None:
    """The open purchase of a request."""
    columns = (purchases.c.id, purchases.c.state, purchases.c.run_id)
    is_open = purchases.c.state.in_(OPEN_STATES)
    return connection.execute(select(*columns).where(purchases.c.request_key == request_key, is_open)).first()


def _is_nothing(connection: Connection, begun: Row[Any], lives: Lives) -> bool:
    """Whether nothing was sent for a purchase and no run works on it. Otherwise that run adopts the picture itself."""
    return begun.state == PurchaseState.PLANNED and not (begun.run_id and lives.is_alive(connection, begun.run_id))


def forget(connection: Connection, files: Iterable[PictureFile]) -> None:
    """Drop the records of files that are gone: their prompts become *missing*. Their cost stays recorded."""
    for file in files:
        same = (pictures.c.purchase_id == file.purchase_id) & (pictures.c.prompt_id == file.prompt_id)
        gone = delete(pictures).where(same, pictures.c.position == file.position)
        connection.execute(gone, execution_options=LATER)
        chosen = (selections.c.prompt_id == file.prompt_id) & (selections.c.purchase_id == file.purchase_id)
        connection.execute(delete(selections).where(chosen), execution_options=LATER)


def remember_looks(connection: Connection, looks: Mapping[PictureFile, tuple[str, float]]) -> None:
    """Record perceptual hash and contrast of pictures that were saved without them."""
    for file, (perceptual_hash, contrast) in looks.items():
        same = (pictures.c.purchase_id == file.purchase_id) & (pictures.c.file == file.file)
        look = update(pictures).where(same).values(perceptual_hash=perceptual_hash, contrast=contrast)
        connection.execute(look, execution_options=LATER)


def _insert(connection: Connection, purchase: FoundPurchase, run_id: str, instead_of: Row[Any] | None) -> int:
    values: dict[str, Any] = {
        "request_key": purchase.request_key,
        "request": purchase.request,
        "state": PurchaseState.SAVED,
        "run_id": run_id,
        "task_id": purchase.task_id,
        "seed": purchase.seed,
        "created_at": purchase.saved_at,
        "updated_at": time.time(),
    }
    if instead_of is not None:
        connection.execute(delete(purchases).where(purchases.c.id == instead_of.id))
    (purchase_id,) = connection.execute(insert(purchases).values(**values)).inserted_primary_key or (0,)
    if purchase.was_paid:
        post = {
            "purchase_id": purchase_id,
            "run_id": run_id,
            "sent_at": min(purchase.saved_at, time.time()),  # a wrong clock is no later day's spending
            "currency": purchase.currency,
        }
        connection.execute(
            insert(posts).values(**post, pictures=len(purchase.files), price=purchase.price, billing=Billing.BILLED)
        )
    rows = [{**record_values(file), "purchase_id": purchase_id} for file in purchase.files]
    connection.execute(insert(pictures), rows)
    return int(purchase_id)


def _choose(connection: Connection, purchase: FoundPurchase, purchase_id: int) -> None:
    values = {
        "prompt_id": purchase.prompt_id,
        "purchase_id": purchase_id,
        "request_key": purchase.request_key,
        "prompt_version": purchase.prompt_version,
        "settings_fingerprint": purchase.settings_fingerprint,
        "selected_at": purchase.saved_at,
    }
    connection.execute(statements.SELECT_IF_LATER, values)
