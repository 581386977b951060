"""How jobs fared, hour by hour; failures by what is the same about them; people's own marks."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BINARY: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"), ("engine", "InnoDB"))
}

# What ended before is counted as what ends from now on is: when a worker comes to it.
PAST_ATTEMPTS = """
INSERT INTO endings (execution, number, app, job, state, due_at, ended_at, past)
SELECT executions.id, attempts.number, executions.app, executions.job,
    CASE WHEN executions.stage = 'done' AND attempts.number = executions.attempts
        THEN executions.state WHEN attempts.counted = 1 THEN 'retrying' ELSE 'queued' END,
    CASE WHEN executions.attempts = 1 THEN executions.due_at END, attempts.finished_at, 1
FROM executions JOIN attempts ON attempts.execution = executions.id
WHERE attempts.state = 'ended' AND attempts.finished_at IS NOT NULL
"""
PAST_CANCELS = """
INSERT INTO endings (execution, number, app, job, state, ended_at, past)
SELECT id, 0, app, job, state, finished_at, 1 FROM executions
WHERE stage = 'done' AND attempts = 0 AND finished_at IS NOT NULL AND tombstone = 0
"""


def upgrade() -> None:
    op.add_column("attempts", sa.Column("log_error", sa.Text(), nullable=True))
    _add_endings()
    _add_rollups()
    _add_failures()
    op.create_table(
        "marks",
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("job", sa.String(length=128), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("person", "app", "job", "tag"),
        **BINARY,
    )
    op.execute(PAST_ATTEMPTS)
    op.execute(PAST_CANCELS)


def _add_endings() -> None:
    op.create_table(
        "endings",
        sa.Column("id", ID, nullable=False),
        sa.Column("execution", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("job", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("due_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=False),
        sa.Column("past", sa.Boolean(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id"),
        **BINARY,
    )


def _add_rollups() -> None:
    counts = ("succeeded", "failed", "not_started", "cancelled", "retried", "interrupted")
    op.create_table(
        "rollups",
        sa.Column("name", sa.String(length=280), nullable=False),
        sa.Column("span", sa.String(length=4), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        sa.Column("waits", sa.Text(), nullable=False),
        sa.Column("runs", sa.Text(), nullable=False),
        sa.Column("cpu_seconds", sa.Double(), nullable=False),
        sa.Column("memory_seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **BINARY,
    )
    op.create_index("ix_rollups_at", "rollups", ["span", "at"])


def _add_failures() -> None:
    op.create_table(
        "unsorted_failures",
        sa.Column("attempt", sa.String(length=48), nullable=False),
        sa.Column("look_at", INSTANT, nullable=False),
        sa.Column("give_up_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("attempt"),
        **BINARY,
    )
    op.create_index("ix_unsorted_failures_look_at", "unsorted_failures", ["look_at"])
    op.create_table(
        "failures",
        sa.Column("id", ID, nullable=False),
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("job", sa.String(length=128), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("users", sa.BigInteger(), nullable=False),
        sa.Column("first_at", INSTANT, nullable=False),
        sa.Column("last_at", INSTANT, nullable=False),
        sa.Column("sample", sa.String(length=48), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("app", "job", "fingerprint"),
        **BINARY,
    )
    op.create_index("ix_failures_last", "failures", ["last_at"])
    op.create_index("ix_failures_app", "failures", ["app", "last_at"])
    op.create_index("ix_failures_state", "failures", ["state", "last_at"])
    op.create_table(
        "failure_members",
        sa.Column("failure", ID, autoincrement=False, nullable=False),
        sa.Column("execution", ID, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("failure", "execution"),
        **BINARY,
    )
    op.create_index("ix_failure_members_execution", "failure_members", ["execution"])
    op.create_table(
        "failure_users",
        sa.Column("failure", ID, autoincrement=False, nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("failure", "user_id"),
        **BINARY,
    )
    op.create_table(
        "failure_hours",
        sa.Column("failure", ID, autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("failure", "at"),
        **BINARY,
    )
