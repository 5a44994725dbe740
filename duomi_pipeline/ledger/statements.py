"""Write statements that run for every picture, built once: building one costs more than running it.

An insert or update sets the columns of the values it is executed with. Those without a result are sent `LATER`.
"""

from dataclasses import fields
from typing import Any

from sqlalchemy import BindParameter, Table, bindparam, delete, exists, insert, select, text, update

from duomi_pipeline.ledger.closing import CLOSINGS
from duomi_pipeline.ledger.limits import LOST
from duomi_pipeline.ledger.postgresql import LATER
from duomi_pipeline.ledger.records import Selection
from duomi_pipeline.ledger.schema import OPEN_STATES, pictures, posts, purchases, selections


def _given(table: Table, *names: str) -> list[BindParameter[Any]]:
    return [bindparam(name, type_=table.c[name].type) for name in names]


_NEW = ("request_key", "request", "state", "run_id", "asked_anew", "created_at", "updated_at")
_SENT = ("run_id", "sent_at", "pictures", "price", "currency", "billing")
_SELECTED = [field.name for field in fields(Selection) if field.name != "files"]

# `of_…`: parameters of conditions; they must not have the name of a column that the values set.
_OF_THIS_RUN = (purchases.c.id == bindparam("of_purchase")) & (purchases.c.run_id == bindparam("of_run"))
# A purchase of a request that has no other one but, ended, the one that it replaces. Tells its id.
ADD_IF_FIRST = (
    insert(purchases)
    .from_select(
        _NEW,
        select(*_given(purchases, *_NEW)).where(
            ~exists().where(
                purchases.c.request_key == bindparam("request_key"),
                (purchases.c.id != bindparam("replaces")) | purchases.c.state.in_(OPEN_STATES),
            )
        ),
    )
    .returning(purchases.c.id)
)
# A POST of a purchase that its run owns, whose request has not lost too many answers, in a ledger that is open. Tells
# its id.
ADD_POST_IF_ALLOWED = (
    insert(posts)
    .from_select(
        ("purchase_id", *_SENT),
        select(purchases.c.id, *_given(posts, *_SENT)).where(
            _OF_THIS_RUN,
            LOST.scalar_subquery() < bindparam("lost_answers"),
            ~CLOSINGS.exists(),
        ),
    )
    .returning(posts.c.id)
)
ADD_PURCHASE = insert(purchases)
ADD_POST = insert(posts).inline().execution_options(**LATER)
ADD_PICTURES = insert(pictures).inline().execution_options(**LATER)
STEP = update(purchases).where(_OF_THIS_RUN)
SETTLE = update(posts).where(posts.c.id == bindparam("of_post")).execution_options(**LATER)
# Before STEP: where that finds that another run has taken the purchase over, this has changed nothing either.
SETTLE_IF_OWNED = SETTLE.where(exists().where(_OF_THIS_RUN))
SETTLE_ALL = (
    update(posts)
    .where(posts.c.purchase_id == bindparam("of_purchase"), posts.c.billing == bindparam("of_billing"))
    .execution_options(**LATER)
)
FORGET_PICTURES = (
    delete(pictures)
    .where(pictures.c.purchase_id == bindparam("of_purchase"), pictures.c.prompt_id == bindparam("of_prompt"))
    .execution_options(**LATER)
)
# As text: SQLAlchemy does not cache the databases' own upsert statements.
_SELECT = (
    f"INSERT INTO {selections.name} ({', '.join(_SELECTED)}) VALUES (:{', :'.join(_SELECTED)})"  # noqa: S608
    f" ON CONFLICT (prompt_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _SELECTED)}"
    ", settled_under = NULL"
)
SELECT = text(_SELECT).execution_options(**LATER)
SELECT_IF_LATER = text(f"{_SELECT} WHERE excluded.selected_at >= {selections.name}.selected_at").execution_options(
    **LATER
)
