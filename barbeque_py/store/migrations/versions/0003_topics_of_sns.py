"""Which SNS topics a queue hears, and which job their messages start."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BINARY: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"), ("engine", "InnoDB"))
}


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", ID, nullable=False),
        sa.Column("queue", sa.String(length=80), nullable=False),
        sa.Column("topic", sa.String(length=300), nullable=False),
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("job", sa.String(length=128), nullable=False),
        sa.Column("subscription_arn", sa.String(length=400), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("removed_at", INSTANT, nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("queue", "topic"),
        **BINARY,
    )
