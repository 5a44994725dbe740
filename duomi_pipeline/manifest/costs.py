"""What purchases cost, from the journal of POSTs in one look."""

from dataclasses import dataclass

from sqlalchemy import func, select

from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.schema import posts


@dataclass(frozen=True)
class Cost:
    """Money, in the currency that was set when it was spent."""

    amount: float
    currency: str


def purchase_costs(database: Database) -> dict[int, Cost]:
    """What was billed for each purchase, by its id; one that is not in there has an unknown cost.

    Unknown: a price of it was not set, or its requests were billed in different currencies.
    """
    query = (
        select(posts.c.purchase_id, func.sum(posts.c.price), func.min(posts.c.currency))
        .where(posts.c.billing == "billed")
        .group_by(posts.c.purchase_id)
        .having(func.count(posts.c.price) == func.count(), func.count(posts.c.currency.distinct()) == 1)
    )
    with database.read() as connection:
        return {purchase_id: Cost(amount, currency) for purchase_id, amount, currency in connection.execute(query)}
