"""Indexes for what was found by walking many rows: lists by app, queue and job's state, leases."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_attempts_live", "attempts", ["state", "place", "owner"]),
    ("ix_dead_messages_died", "dead_messages", ["died_at"]),
    ("ix_executions_app", "executions", ["app", "id"]),
    ("ix_executions_job_state", "executions", ["app", "job", "state", "id"]),
    ("ix_executions_queue", "executions", ["queue", "id"]),
    ("ix_outbox_lease", "outbox", ["done_at", "lease_until"]),
)


def upgrade() -> None:
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns)
