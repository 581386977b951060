"""What lists are narrowed by, attempts' sizes, who serves a queue, and changes of many at once."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0014"
down_revision = "0008"
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
ADDED: tuple[tuple[str, str, Any], ...] = (
    ("executions", "user_id", sa.String(length=255)),
    ("attempts", "cpu", sa.Integer()),
    ("attempts", "memory", sa.Integer()),
    ("queues", "pause_reason", sa.String(length=500)),
    ("workers", "queues", sa.Text()),
    ("quotas", "rate", sa.Double()),
)


def upgrade() -> None:
    for table, name, kind in ADDED:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    op.create_index("ix_executions_recorded", "executions", ["recorded_at"])
    op.create_index("ix_executions_user", "executions", ["user_id", "id"])
    _add_tags()
    _add_bulk_changes()


def _add_tags() -> None:
    op.create_table(
        "tags",
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.Column("execution", ID, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("app", "name", "value", "execution"),
        **BINARY,
    )
    op.create_index("ix_tags_execution", "tags", ["execution"])


def _add_bulk_changes() -> None:
    op.create_table(
        "bulk_changes",
        sa.Column("id", ID, nullable=False),
        sa.Column("action", sa.String(length=10), nullable=False),
        sa.Column("wanted", LONG, nullable=False),
        sa.Column("app", sa.String(length=128), nullable=True),
        sa.Column("asked_by", sa.String(length=200), nullable=False),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.Column("top", sa.BigInteger(), nullable=True),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("left_alone", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **BINARY,
    )
    op.create_index("ix_bulk_changes_created", "bulk_changes", ["created_at"])
