"""An attempt keeps the command it ran, which its definition may no longer have."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("command", sa.Text))
