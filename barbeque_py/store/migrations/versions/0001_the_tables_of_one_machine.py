"""The tables of one machine."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
HUGE = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
BINARY: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"), ("engine", "InnoDB"))
}


def upgrade() -> None:  # noqa: PLR0915 - one statement a table
    op.create_table(
        "apps",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("image", sa.String(length=500), nullable=False),
        sa.Column("spec", LONG, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **BINARY,
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("execution", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("lease_until", INSTANT, nullable=False),
        sa.Column("request", LONG, nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("image", sa.String(length=500), nullable=False),
        sa.Column("handle", sa.String(length=200), nullable=True),
        sa.Column("claimed_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("deadline_at", INSTANT, nullable=True),
        sa.Column("cancel_requested_at", INSTANT, nullable=True),
        sa.Column("stop_reason", sa.String(length=20), nullable=True),
        sa.Column("stop_requested_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=True),
        sa.Column("log_sealed_at", INSTANT, nullable=True),
        sa.Column("log_lines", sa.BigInteger(), nullable=True),
        sa.Column("log_bytes", sa.BigInteger(), nullable=True),
        sa.Column("log_error_lines", sa.BigInteger(), nullable=True),
        sa.Column("log_truncated", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("execution", "number"),
        **BINARY,
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index("ix_attempts_owner", ["owner", "state"], unique=False)
        batch_op.create_index("ix_attempts_place", ["place", "state", "lease_until"], unique=False)

    op.create_table(
        "dead_messages",
        sa.Column("id", ID, nullable=False),
        sa.Column("queue", sa.String(length=80), nullable=False),
        sa.Column("broker_id", sa.String(length=36), nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=True),
        sa.Column("body", HUGE, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("sent_at", INSTANT, nullable=False),
        sa.Column("died_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("broker_id"),
        **BINARY,
    )
    with op.batch_alter_table("dead_messages", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_dead_messages_message_id"), ["message_id"], unique=False
        )

    op.create_table(
        "duties",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("lease_until", INSTANT, nullable=False),
        sa.Column("done_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("name"),
        **BINARY,
    )
    op.create_table(
        "executions",
        sa.Column("id", ID, nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=False),
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("job", sa.String(length=128), nullable=False),
        sa.Column("queue", sa.String(length=80), nullable=False),
        sa.Column("message", LONG, nullable=True),
        sa.Column("message_key", sa.String(length=900), nullable=True),
        sa.Column("options", LONG, nullable=False),
        sa.Column("priority_rank", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("stage", sa.String(length=10), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("held_by", sa.String(length=300), nullable=True),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False),
        sa.Column("counted_before", sa.Integer(), nullable=False),
        sa.Column("uncounted", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("could_not_start", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("cancel_requested_at", INSTANT, nullable=True),
        sa.Column("tombstone", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("sent_at", INSTANT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id"),
        **BINARY,
    )
    with op.batch_alter_table("executions", schema=None) as batch_op:
        batch_op.create_index(
            "ix_executions_claim", ["queue", "stage", "priority_rank", "app", "id"], unique=False
        )
        batch_op.create_index("ix_executions_due", ["stage", "due_at"], unique=False)
        batch_op.create_index("ix_executions_finished", ["finished_at"], unique=False)
        batch_op.create_index(
            "ix_executions_held", ["held_by", "priority_rank", "id"], unique=False
        )
        batch_op.create_index("ix_executions_job", ["app", "job", "id"], unique=False)
        batch_op.create_index("ix_executions_state", ["state", "id"], unique=False)

    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=6), nullable=False),
        sa.Column("executor", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **BINARY,
    )
    op.create_table(
        "job_definitions",
        sa.Column("id", ID, nullable=False),
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("queue", sa.String(length=80), nullable=False),
        sa.Column("spec", LONG, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("app", "name"),
        **BINARY,
    )
    op.create_table(
        "limits",
        sa.Column("scope", sa.String(length=300), nullable=False),
        sa.Column("max", sa.Integer(), nullable=True),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
        **BINARY,
    )
    op.create_table(
        "messages",
        sa.Column("id", ID, nullable=False),
        sa.Column("queue", sa.String(length=80), nullable=False),
        sa.Column("body", HUGE, nullable=False),
        sa.Column("broker_id", sa.String(length=36), nullable=False),
        sa.Column("receipt", sa.String(length=36), nullable=True),
        sa.Column("receives", sa.Integer(), nullable=False),
        sa.Column("visible_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **BINARY,
    )
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.create_index("ix_messages_visible", ["queue", "visible_at", "id"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("lane", sa.String(length=200), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=True),
        sa.Column("subject", sa.String(length=48), nullable=False),
        sa.Column("dedupe", sa.String(length=200), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("done_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dedupe"),
        **BINARY,
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_due", ["done_at", "due_at"], unique=False)

    op.create_table(
        "queues",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("paused_at", INSTANT, nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **BINARY,
    )
    op.create_table(
        "retries",
        sa.Column("message_id", sa.String(length=36), nullable=False),
        sa.Column("execution", ID, nullable=False),
        sa.PrimaryKeyConstraint("message_id"),
        **BINARY,
    )
    with op.batch_alter_table("retries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_retries_execution"), ["execution"], unique=False)

    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **BINARY,
    )
