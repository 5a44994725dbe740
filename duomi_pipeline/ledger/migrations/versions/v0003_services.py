"""Which service sold a purchase, and which purchases the user asked for knowing that money may be lost."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of earlier purchases the service is not known, and none counts as asked for anew."""
    op.add_column("purchases", sa.Column("service", sa.Text))
    op.add_column("purchases", sa.Column("asked_anew", sa.Boolean, nullable=False, server_default=sa.false()))
