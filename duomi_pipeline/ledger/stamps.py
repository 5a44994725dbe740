"""Marks of the ledger: the same one twice says at a cost that does not grow that nothing has changed in between.

Triggers (migration 0008) draw a new random number with each change of a row. Numbers that count up would come again
after an older copy of the ledger was put back. Prompts need none: whoever changes them records a look. Who concludes
something from rows reads the mark before them: a change in between then only makes the conclusion seem out of date.
"""

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from duomi_pipeline.ledger.schema import looks, stamps

_STAMP = select(func.sum(stamps.c.value))
_LAST_CHANGE = select(looks.c.id, looks.c.looked_at).where(looks.c.changes > 0).order_by(looks.c.id.desc()).limit(1)


class Mark(NamedTuple):
    """What the ledger is known by at one moment.

    Attributes:
        look_id, looked_at: the last look that changed a prompt, and when it was, in seconds since 1970. Marks of rows
            and files are no change.
        pictures: stamp of purchases, POSTs, pictures, choices and foreign files. What is settled is no change.
    """

    look_id: int
    looked_at: float
    pictures: int


def read_mark(connection: Connection) -> Mark:
    """The mark as it is now; with 0 where nothing has changed yet."""
    look_id, looked_at = connection.execute(_LAST_CHANGE).tuples().first() or (0, 0.0)
    return Mark(look_id, looked_at, int(connection.execute(_STAMP).scalar() or 0))
