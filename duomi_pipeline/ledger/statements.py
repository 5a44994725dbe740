"""What the ledger writes for every picture, built once: building such a statement costs more than running it.

The columns that an insert or update sets are those of the values it is executed with.
"""

from sqlalchemy import bindparam, delete, insert, update

from duomi_pipeline.ledger.schema import pictures, posts, purchases, selections

ADD_PURCHASE, ADD_POST, ADD_PICTURES, SELECT = insert(purchases), insert(posts), insert(pictures), insert(selections)
# `of_…`: parameters of conditions, which must not be named as a column that the values set.
STEP = update(purchases).where(purchases.c.id == bindparam("of_purchase"), purchases.c.run_id == bindparam("of_run"))
SETTLE = update(posts).where(posts.c.id == bindparam("of_post"))
SETTLE_ALL = update(posts).where(
    posts.c.purchase_id == bindparam("of_purchase"), posts.c.billing == bindparam("of_billing")
)
FORGET_PICTURES = delete(pictures).where(
    pictures.c.purchase_id == bindparam("of_purchase"), pictures.c.prompt_id == bindparam("of_prompt")
)
# Then SELECT where nothing is there: the databases' own statements for both at once are not kept compiled.
SELECT_INSTEAD = update(selections).where(selections.c.prompt_id == bindparam("of_prompt"))
