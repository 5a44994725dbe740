"""The register of prompts: what each source last said, and who looked at it when."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; the first look fills them."""
    op.create_table(
        "looks",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("source", sa.String(12), nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("looked_at", sa.Float, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("prompts", sa.Integer, nullable=False),
        sa.Column("left_out", sa.Integer, nullable=False),
        sa.Column("changes", sa.Integer, nullable=False),
        sa.Column("problem", sa.Text),
        sa.Column("problems", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "prompts",
        sa.Column("prompt_id", sa.String(100), primary_key=True),
        sa.Column("source", sa.String(12), nullable=False),
        sa.Column("standing", sa.String(12), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("file_prefix", sa.Text, nullable=False),
        sa.Column("image_id", sa.BigInteger),
        sa.Column("name", sa.Text),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("overrides", sa.Text, nullable=False),
        sa.Column("look_id", sa.Integer, sa.ForeignKey("looks.id"), nullable=False),
    )
    op.create_index("prompts_by_source", "prompts", ["source"])
