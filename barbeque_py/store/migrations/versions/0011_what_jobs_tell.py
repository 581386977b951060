"""What jobs tell of themselves: progress and results."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0011"
down_revision = "0005"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BINARY: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"), ("engine", "InnoDB"))
}
LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "reports",
        sa.Column("attempt", sa.String(length=48), nullable=False),
        sa.Column("percent", sa.Double(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("told_at", INSTANT, nullable=True),
        sa.Column("result", LONG, nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("result_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("attempt"),
        **BINARY,
    )
