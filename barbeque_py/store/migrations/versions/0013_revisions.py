"""Which image each app has run, since when, and which of them an attempt ran."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BINARY: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"), ("engine", "InnoDB"))
}


def upgrade() -> None:
    op.create_table(
        "revisions",
        sa.Column("id", ID, nullable=False),
        sa.Column("app", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("image", sa.String(length=500), nullable=False),
        sa.Column("pinned", sa.String(length=500), nullable=True),
        sa.Column("pinned_at", INSTANT, nullable=True),
        sa.Column("rollback_of", sa.Integer(), nullable=True),
        sa.Column("made_by", sa.String(length=200), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("app", "number"),
        **BINARY,
    )
    op.add_column("apps", sa.Column("revision", sa.BigInteger(), nullable=True))
    op.add_column("attempts", sa.Column("revision", sa.BigInteger(), nullable=True))
    begin = sa.Column("image_from", sa.Integer(), nullable=False, server_default="1")
    op.add_column("executions", begin)
    op.create_index("ix_attempts_revision", "attempts", ["revision", "execution"])
    op.execute(
        "INSERT INTO revisions (app, number, image, made_by, made_at, note) "
        "SELECT name, 1, image, 'the migration', changed_at, 'the image it had' FROM apps"
    )
    op.execute(
        "UPDATE apps SET revision = (SELECT id FROM revisions "
        "WHERE revisions.app = apps.name AND revisions.number = 1)"
    )
