"""An attempt is found by what its executor calls it: the ARN of a task, the id of a container."""

from alembic import op

revision = "0032"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_attempts_handle", "attempts", ["handle"])
