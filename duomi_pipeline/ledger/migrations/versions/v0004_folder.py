"""What the ledger knows of the folder of pictures: its mark, and files in it that are not the ledger's business."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; no folder is known yet."""
    op.create_table("facts", sa.Column("name", sa.String(40), primary_key=True), sa.Column("value", sa.Text))
    op.create_table(
        "foreign_files",
        sa.Column("file", sa.Text, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
