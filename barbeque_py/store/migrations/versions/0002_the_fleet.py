"""What attempts on ECS need: launch numbers, versions, quotas, pauses, task definitions."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BINARY: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"), ("engine", "InnoDB"))
}


def upgrade() -> None:
    op.add_column("installation", sa.Column("secret", sa.String(length=64), nullable=True))
    _widen_attempts()
    op.create_table(
        "quotas",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("filled_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **BINARY,
    )
    op.create_table(
        "pauses",
        sa.Column("scope", sa.String(length=300), nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("probing", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
        **BINARY,
    )
    op.create_table(
        "task_definitions",
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("family", sa.String(length=255), nullable=False),
        sa.Column("arn", sa.String(length=300), nullable=True),
        sa.Column("owner", sa.String(length=80), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("registered_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("content"),
        **BINARY,
    )


def _widen_attempts() -> None:
    number = sa.Column("launch_number", sa.Integer(), nullable=False, server_default="1")
    op.add_column("attempts", number)
    for name, kind in (
        ("first_called_at", INSTANT),
        ("log_at", sa.String(length=900)),
        ("version", sa.BigInteger()),
        ("checked_at", INSTANT),
        ("act_at", INSTANT),
    ):
        op.add_column("attempts", sa.Column(name, kind, nullable=True))
    op.execute("UPDATE attempts SET act_at = deadline_at WHERE state = 'running'")
    op.create_index("ix_attempts_act", "attempts", ["place", "state", "act_at"])
    op.create_index("ix_attempts_checked", "attempts", ["place", "state", "checked_at"])
