"""Whose messages are dead: an app sees its own."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dead_messages", sa.Column("app", sa.String(length=128), nullable=True))
    op.create_index("ix_dead_messages_app", "dead_messages", ["app", "id"])
