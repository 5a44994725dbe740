"""Write statements that run for every picture, built once: building one costs more than running it.

An insert or update sets the columns of the values it is executed with.
"""

from sqlalchemy import bindparam, delete, insert, update

from duomi_pipeline.ledger.schema import pictures, posts, purchases, selections

ADD_PURCHASE, ADD_POST, ADD_PICTURES, SELECT = insert(purchases), insert(posts), insert(pictures), insert(selections)
# `of_…`: parameters of conditions; they must not have the name of a column that the values set.
STEP = update(purchases).where(purchases.c.id == bindparam("of_purchase"), purchases.c.run_id == bindparam("of_run"))
SETTLE = update(posts).where(posts.c.id == bindparam("of_post"))
SETTLE_ALL = update(posts).where(
    posts.c.purchase_id == bindparam("of_purchase"), posts.c.billing == bindparam("of_billing")
)
FORGET_PICTURES = delete(pictures).where(
    pictures.c.purchase_id == bindparam("of_purchase"), pictures.c.prompt_id == bindparam("of_prompt")
)
# Followed by SELECT if there is no such row: SQLAlchemy does not cache the databases' own upsert statements.
SELECT_INSTEAD = update(selections).where(selections.c.prompt_id == bindparam("of_prompt"))
