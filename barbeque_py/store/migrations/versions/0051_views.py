"""People keep what they look for in the list of executions under names of their own."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0044"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BINARY: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"), ("engine", "InnoDB"))
}


def upgrade() -> None:
    op.create_table(
        "views",
        sa.Column("id", ID, nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("app", sa.String(length=128), nullable=True),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("person", "name", name="uq_views_person"),
        **BINARY,
    )
    op.create_index("ix_views_shared", "views", ["shared"])


def downgrade() -> None:
    op.drop_table("views")
