"""Workers tell their version, and can be drained."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0056"
down_revision = "0031"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.add_column("workers", sa.Column("version", sa.String(length=40), nullable=True))
    op.add_column("workers", sa.Column("drained_at", INSTANT, nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "drained_at")
    op.drop_column("workers", "version")
