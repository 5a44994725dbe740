"""Sums over the POSTs, which triggers keep with each change of a POST, and an index of those without an answer.

A later migration that makes `posts` anew, as SQLite needs for some changes, has to make the triggers anew, too.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KEY = "run_id, day, currency, billing, writer"
_SUMS = ("posts", "pictures", "unpriced", "billionths")
_INTO = f"INSERT INTO totals ({_KEY}, {', '.join(_SUMS)})"
_ADD = f"ON CONFLICT ({_KEY}) DO UPDATE SET {', '.join(f'{name} = totals.{name} + excluded.{name}' for name in _SUMS)}"
_OF_ALL = "count(*), sum(pictures), sum(CASE WHEN price IS NULL THEN pictures ELSE 0 END)"


def upgrade() -> None:
    """Create the table, its triggers and the index, then sum up the POSTs; others add none meanwhile."""
    op.create_table(
        "totals",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("currency", sa.String(12), primary_key=True),
        sa.Column("billing", sa.String(12), primary_key=True),
        sa.Column("writer", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("posts", sa.Integer, nullable=False),
        sa.Column("pictures", sa.Integer, nullable=False),
        sa.Column("unpriced", sa.Integer, nullable=False),
        sa.Column("billionths", sa.Numeric, nullable=False),
    )
    op.create_index("totals_by_day", "totals", ["day"])
    unanswered = sa.text("billing IN ('sent', 'ambiguous') AND answered_at IS NULL")
    op.create_index("posts_unanswered", "posts", ["purchase_id"], sqlite_where=unanswered, postgresql_where=unanswered)
    if op.get_bind().dialect.name == "postgresql":
        _on_postgresql()
    else:
        _on_sqlite()


def _on_postgresql() -> None:
    """One statement changes the sums once, however many rows it has: 100,000 updates of one row take minutes there."""
    amounts = f"{_OF_ALL}, coalesce(sum(round(price::numeric * 1000000000)), 0)"
    key = "run_id, floor(sent_at / 86400), currency, billing"

    def add(sign: str, rows: str) -> str:
        signed = f"{sign}posts, {sign}pictures, {sign}unpriced, {sign}billionths"
        grouped = f"SELECT {key}, {amounts} FROM {rows} GROUP BY 1, 2, 3, 4"  # noqa: S608 - our own words
        named = f"({grouped}) AS of_rows (run_id, day, currency, billing, {', '.join(_SUMS)})"
        return f"{_INTO} SELECT run_id, day, currency, billing, pg_backend_pid(), {signed} FROM {named} {_ADD};"  # noqa: S608

    op.execute(
        f"""
        CREATE FUNCTION sum_up_posts() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP <> 'INSERT' THEN {add("-", "old_posts")} END IF;
            IF TG_OP <> 'DELETE' THEN {add("", "new_posts")} END IF;
            RETURN NULL;
        END $$
        """
    )
    old, new = "OLD TABLE AS old_posts", "NEW TABLE AS new_posts"
    for name, event, rows in (
        ("posts_added", "INSERT", new),
        ("posts_changed", "UPDATE", f"{old} {new}"),
        ("posts_deleted", "DELETE", old),
    ):
        trigger = f"CREATE TRIGGER {name} AFTER {event} ON posts REFERENCING {rows}"
        op.execute(f"{trigger} FOR EACH STATEMENT EXECUTE FUNCTION sum_up_posts()")
    op.execute(add("", "posts"))


def _on_sqlite() -> None:
    def add(sign: str, row: str) -> str:
        of_row = (
            f"{sign}1, {sign}{row}.pictures, CASE WHEN {row}.price IS NULL THEN {sign}{row}.pictures ELSE 0 END, "
            f"{sign}CAST(round(coalesce({row}.price, 0) * 1000000000) AS INTEGER)"
        )
        key = f"{row}.run_id, CAST({row}.sent_at / 86400 AS INTEGER), {row}.currency, {row}.billing, 0"
        return f"{_INTO} VALUES ({key}, {of_row}) {_ADD};"

    added, gone = add("", "NEW"), add("-", "OLD")
    counted = "run_id, sent_at, currency, billing, pictures, price"
    op.execute(f"CREATE TRIGGER posts_added AFTER INSERT ON posts BEGIN {added} END")
    op.execute(f"CREATE TRIGGER posts_changed AFTER UPDATE OF {counted} ON posts BEGIN {gone} {added} END")
    op.execute(f"CREATE TRIGGER posts_deleted AFTER DELETE ON posts BEGIN {gone} END")
    key = "run_id, CAST(sent_at / 86400 AS INTEGER), currency, billing"
    amounts = f"{_OF_ALL}, sum(CAST(round(coalesce(price, 0) * 1000000000) AS INTEGER))"
    op.execute(f"{_INTO} SELECT {key}, 0, {amounts} FROM posts GROUP BY 1, 2, 3, 4")  # noqa: S608
