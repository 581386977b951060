"""Pauses and suspensions may end by themselves; suspensions have a reason."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0050"
down_revision = "0051"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.add_column("queues", sa.Column("paused_until", INSTANT, nullable=True))
    op.add_column("schedules", sa.Column("suspended_until", INSTANT, nullable=True))
    op.add_column("schedules", sa.Column("suspend_reason", sa.String(length=500), nullable=True))


def downgrade() -> None:
    op.drop_column("schedules", "suspend_reason")
    op.drop_column("schedules", "suspended_until")
    op.drop_column("queues", "paused_until")
