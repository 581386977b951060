"""Schedules: jobs that run by the clock."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0012"
down_revision = "0021"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BINARY: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"), ("engine", "InnoDB"))
}
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", ID, nullable=False),
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("job", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("spec", LONG, nullable=False),
        sa.Column("suspended_at", INSTANT, nullable=True),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("waiting", INSTANT, nullable=True),
        sa.Column("firing", sa.Text(), nullable=True),
        sa.Column("act_at", INSTANT, nullable=True),
        sa.Column("last_message_id", sa.String(length=36), nullable=True),
        sa.Column("last_at", INSTANT, nullable=True),
        sa.Column("last_fired_at", INSTANT, nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("app", "job", "name"),
        **BINARY,
    )
    op.create_index("ix_schedules_act_at", "schedules", ["act_at"])
