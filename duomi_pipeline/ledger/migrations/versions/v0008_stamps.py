"""Stamps by which it is known in constant time that nothing has changed: see `ledger.stamps`.

A later migration that makes one of these tables anew, as SQLite needs for some changes, has to make its triggers anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Of `selections` all but `settled_under`: a note of what is so, not a change of it.
_SELECTED = "prompt_id, purchase_id, request_key, prompt_version, settings_fingerprint, selected_at"
_COLUMNS = {"purchases": "", "posts": "", "pictures": "", "selections": f"OF {_SELECTED}", "foreign_files": ""}
_NEW = "ON CONFLICT (writer) DO UPDATE SET value = excluded.value"


def upgrade() -> None:
    """Create the table and the triggers."""
    op.create_table(
        "stamps",
        sa.Column("writer", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        value = "floor(random() * 9007199254740992)::bigint"
        stamp = f"INSERT INTO stamps (writer, value) VALUES (pg_backend_pid(), {value}) {_NEW};"  # noqa: S608 - our own
        body = f"$$ BEGIN {stamp} RETURN NULL; END $$"
        op.execute(f"CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS {body}")
        action = "FOR EACH STATEMENT EXECUTE FUNCTION stamp()"
    else:
        action = f"BEGIN INSERT INTO stamps (writer, value) VALUES (0, random()) {_NEW}; END"  # noqa: S608 - our own
    for table, columns in _COLUMNS.items():
        for event, of in (("INSERT", ""), ("UPDATE", columns), ("DELETE", "")):
            op.execute(f"CREATE TRIGGER {table}_stamped_{event.lower()} AFTER {event} {of} ON {table} {action}")
