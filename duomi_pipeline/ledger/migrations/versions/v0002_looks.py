"""What pictures look like: perceptual hash and contrast."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; pictures saved before have none until somebody looks at them."""
    op.add_column("pictures", sa.Column("perceptual_hash", sa.String(64)))
    op.add_column("pictures", sa.Column("contrast", sa.Float))
