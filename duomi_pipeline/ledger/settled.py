"""Which prompts are settled: the request that would be made of them is known to be that of their pictures.

Making 100,000 requests to find them unchanged takes seconds. So a plan that found a prompt current notes under what:
its version, and everything else that its request is made from (the *basis*). As long as both are the same, so is the
request. Another selection of pictures has no note. Whether the files are there, each plan looks anew.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from duomi_pipeline.ledger.records import Source, Standing
from duomi_pipeline.ledger.schema import prompts, selections

USABLE = (Standing.ACTIVE, Standing.VISITING)

_SETTLE = (
    update(selections)
    .where(selections.c.prompt_id == bindparam("of_prompt"), selections.c.request_key == bindparam("of_request"))
    .values(settled_under=bindparam("under"))
)


@dataclass(frozen=True, slots=True)
class UsablePrompts:
    """All prompts in the register that can be drawn, by id.

    Attributes:
        settled: the request of their pictures is that of the prompt.
        others: with other pictures, or none, or nobody has compared yet.
    """

    settled: frozenset[str]
    others: frozenset[str]


def usable_prompts(connection: Connection, basis: str, sources: Collection[Source]) -> UsablePrompts:
    """The prompts of some sources, told apart by whether they are settled on a basis."""
    is_settled = selections.c.settled_under == basis + prompts.c.version
    query: Any = (
        select(prompts.c.prompt_id, is_settled)
        .select_from(prompts.outerjoin(selections, selections.c.prompt_id == prompts.c.prompt_id))
        .where(prompts.c.standing.in_(USABLE), prompts.c.source.in_(sources))
    )
    rows = connection.execute(query).all()  # row by row it takes twice as long
    return UsablePrompts(
        frozenset(prompt_id for prompt_id, settled in rows if settled),
        frozenset(prompt_id for prompt_id, settled in rows if not settled),
    )


def pictured_ids(connection: Connection, sources: Collection[Source]) -> frozenset[str]:
    """The ids of all prompts of some sources that can be drawn and have pictures; not of one that came just now."""
    query = (
        select(prompts.c.prompt_id)
        .join(selections, selections.c.prompt_id == prompts.c.prompt_id)
        .where(prompts.c.standing.in_(USABLE), prompts.c.source.in_(sources))
    )
    return frozenset(connection.execute(query).scalars().all())


def settle(connection: Connection, basis: str, found: Mapping[str, tuple[str, str]]) -> None:
    """Note that on this basis prompts are settled.

    Args:
        found: by prompt id its version and the key of its request; a selection of another request gets no note.
    """
    values = [
        {"of_prompt": prompt_id, "of_request": key, "under": basis + version}
        for prompt_id, (version, key) in found.items()
    ]
    connection.execute(_SETTLE, values)
