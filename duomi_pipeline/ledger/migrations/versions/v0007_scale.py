"""What makes a look or a plan cheap where nothing has changed: marks of rows and files, and of settled prompts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; the next look and the next plan fill them."""
    op.add_column("selections", sa.Column("settled_under", sa.String(64)))
    op.add_column("prompts", sa.Column("mark", sa.BigInteger))
    op.add_column("looks", sa.Column("stamp", sa.String(64)))
    op.drop_index("prompts_by_source", "prompts")
    op.create_index("prompts_by_look", "prompts", ["look_id"])
    op.create_index("prompts_by_standing", "prompts", ["standing", "source", "prompt_id", "version"])
