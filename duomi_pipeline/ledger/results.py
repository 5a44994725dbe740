"""What manifest and gallery need of all prompts at once. Single prompts: `queries`."""

import hashlib
from collections.abc import Collection

from sqlalchemy import Connection, String, func, select, type_coerce

from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.queries import in_parts
from duomi_pipeline.ledger.records import Billing, Cost
from duomi_pipeline.ledger.schema import pictures, posts, prompts, purchases, selections

_COSTS = (
    select(posts.c.purchase_id, func.sum(posts.c.price), func.min(posts.c.currency))
    .where(posts.c.billing == Billing.BILLED)
    .group_by(posts.c.purchase_id)
    .having(func.count(posts.c.price) == func.count(), func.count(posts.c.currency.distinct()) == 1)
)
# All that a row of the manifest is made of: `version` stands for a prompt's text, a request's key for its fields. Read
# as plain text, which takes half the time.
_PARTS = [
    type_coerce(column, String)
    for column in (
        *(selections.c[name] for name in ("prompt_id", "purchase_id", "request_key", "prompt_version")),
        *(prompts.c[name] for name in ("version", "kind", "origin", "image_id")),
        *(purchases.c[name] for name in ("task_id", "seed")),
        *(pictures.c[name] for name in ("file", "bytes", "size", "received_size", "origin", "saved_at")),
    )
]
_CURRENT = (
    select(*_PARTS)
    .join_from(selections, prompts, prompts.c.prompt_id == selections.c.prompt_id)
    .join(purchases, purchases.c.id == selections.c.purchase_id)
    .join(
        pictures,
        (pictures.c.prompt_id == selections.c.prompt_id) & (pictures.c.purchase_id == selections.c.purchase_id),
    )
    .order_by(pictures.c.id)
)


class Results:
    """Bulk queries for manifest and gallery."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def digests(self, ids: Collection[str] | None = None) -> dict[str, str]:
        """What the ledger has of some prompts or all and their current pictures: 16 hexadecimal digits, by prompt id.

        The same digits: the same row in the manifest, if the prompt is current.
        """
        found: dict[str, str] = {}
        with self._database.read() as connection:
            chosen = in_parts(connection, select(selections.c.purchase_id), selections.c.prompt_id, ids)
            costs = _costs(connection, None if ids is None else {number for (number,) in chosen})
            rows = in_parts(connection, _CURRENT, selections.c.prompt_id, ids)
            for prompt_id, purchase_id, *parts in rows:
                content = repr((parts, costs.get(purchase_id), found.get(prompt_id)))
                found[prompt_id] = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
        return found

    def costs(self, purchase_ids: Collection[int]) -> dict[int, Cost]:
        """The billed cost of some purchases, by id; purchases with an unknown cost are not in it.

        Unknown: a price was not set, or its requests were billed in different currencies.
        """
        with self._database.read() as connection:
            return {number: Cost(*cost) for number, cost in _costs(connection, purchase_ids).items()}


def _costs(connection: Connection, purchase_ids: Collection[int] | None) -> dict[int, tuple[float, str]]:
    """Amount and currency of some purchases or all, by id, where they are known."""
    rows = in_parts(connection, _COSTS, posts.c.purchase_id, purchase_ids)
    return {purchase_id: (amount, currency) for purchase_id, amount, currency in rows}
