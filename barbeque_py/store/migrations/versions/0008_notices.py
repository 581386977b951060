"""Whom to tell, what they were told, and how each delivery went."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BINARY: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"), ("engine", "InnoDB"))
}
LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "address_book",
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("spec", LONG, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("app", "user_id"),
        **BINARY,
    )
    op.create_table(
        "notices",
        sa.Column("id", ID, nullable=False),
        sa.Column("notice_id", sa.String(length=36), nullable=False),
        sa.Column("execution", ID, nullable=True),
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("job", sa.String(length=128), nullable=False),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("audience", sa.String(length=10), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("facts", LONG, nullable=False),
        sa.Column("same", sa.String(length=32), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("receipt", sa.String(length=200), nullable=True),
        sa.Column("gathered_into", ID, nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("done_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("notice_id"),
        **BINARY,
    )
    op.create_index("ix_notices_execution", "notices", ["execution", "id"])
    op.create_index("ix_notices_app", "notices", ["app", "id"])
    op.create_index("ix_notices_state", "notices", ["state", "id"])
    op.create_index("ix_notices_same", "notices", ["same", "state", "done_at"])
    op.create_index("ix_notices_gathered", "notices", ["gathered_into"])
    op.create_index("ix_notices_made", "notices", ["made_at"])
    op.create_table(
        "deliveries",
        sa.Column("id", ID, nullable=False),
        sa.Column("notice", ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("request", LONG, nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **BINARY,
    )
    op.create_index("ix_deliveries_notice", "deliveries", ["notice", "id"])
    op.create_table(
        "failing",
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("job", sa.String(length=128), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("app", "job"),
        **BINARY,
    )
