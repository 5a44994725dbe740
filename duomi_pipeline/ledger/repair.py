"""Mending a ledger: record pictures that it does not know, forget files that are gone.

Which files those are, and what they say of themselves, is found by `engine.mending`.
"""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from duomi_pipeline.ledger import leases as liveness
from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.records import PictureFile, record_values
from duomi_pipeline.ledger.schema import pictures, posts, purchases, selections


@dataclass(frozen=True)
class FoundPurchase:
    """The pictures of one purchase made for one prompt, as their files tell it.

    Attributes:
        files: with any `purchase_id`; they get a new one.
        price: of all of them together, `None` where unknown.
        was_paid: whether this prompt's request paid; copies of another prompt's pictures cost nothing.
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


def restore(database: Database, found: Sequence[FoundPurchase]) -> None:
    """Record purchases from their pictures, with what they cost; the latest of a prompt becomes its current one."""
    run_id = f"rebuild-{uuid.uuid4().hex}"
    with database.write() as connection:
        liveness.register(connection, run_id, "rebuild")
        chosen = dict(connection.execute(select(selections.c.prompt_id, selections.c.selected_at)).tuples().all())
        for purchase in sorted(found, key=lambda purchase: purchase.saved_at):
            purchase_id = _insert(connection, purchase, run_id)
            if purchase.saved_at >= chosen.get(purchase.prompt_id, 0.0):
                chosen[purchase.prompt_id] = purchase.saved_at
                _choose(connection, purchase, purchase_id)
        liveness.end(connection, run_id)


def forget(database: Database, files: Iterable[PictureFile]) -> None:
    """Drop the records of files that are gone; their prompts are *missing* then. What they cost stays recorded."""
    with database.write() as connection:
        for file in files:
            same = (pictures.c.purchase_id == file.purchase_id) & (pictures.c.prompt_id == file.prompt_id)
            connection.execute(delete(pictures).where(same, pictures.c.position == file.position))
            chosen = (selections.c.prompt_id == file.prompt_id) & (selections.c.purchase_id == file.purchase_id)
            connection.execute(delete(selections).where(chosen))


def remember_looks(database: Database, looks: Mapping[PictureFile, tuple[str, float]]) -> None:
    """Write what pictures look like, as perceptual hash and contrast; of ones saved without."""
    with database.write() as connection:
        for file, (perceptual_hash, contrast) in looks.items():
            same = (pictures.c.purchase_id == file.purchase_id) & (pictures.c.file == file.file)
            connection.execute(update(pictures).where(same).values(perceptual_hash=perceptual_hash, contrast=contrast))


def _insert(connection: Connection, purchase: FoundPurchase, run_id: str) -> int:
    values: dict[str, Any] = {
        "request_key": purchase.request_key,
        "request": purchase.request,
        "state": "saved",
        "run_id": run_id,
        "task_id": purchase.task_id,
        "seed": purchase.seed,
        "created_at": purchase.saved_at,
        "updated_at": time.time(),
    }
    (purchase_id,) = connection.execute(insert(purchases).values(**values)).inserted_primary_key or (0,)
    if purchase.was_paid:
        post = {
            "purchase_id": purchase_id,
            "run_id": run_id,
            "sent_at": purchase.saved_at,
            "currency": purchase.currency,
        }
        connection.execute(
            insert(posts).values(**post, pictures=len(purchase.files), price=purchase.price, billing="billed")
        )
    rows = [{**record_values(file), "purchase_id": purchase_id} for file in purchase.files]
    connection.execute(insert(pictures), rows)
    return int(purchase_id)


def _choose(connection: Connection, purchase: FoundPurchase, purchase_id: int) -> None:
    connection.execute(delete(selections).where(selections.c.prompt_id == purchase.prompt_id))
    connection.execute(
        insert(selections).values(
            prompt_id=purchase.prompt_id,
            purchase_id=purchase_id,
            request_key=purchase.request_key,
            prompt_version=purchase.prompt_version,
            settings_fingerprint=purchase.settings_fingerprint,
            selected_at=purchase.saved_at,
        )
    )
