"""What became of it all: endings, their counts, and failures that are alike."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from barbeque_py.store.tables.columns import BINARY, ID, Instant, metadata

endings = Table(
    "endings",
    metadata,
    Column("id", ID, primary_key=True),
    Column("execution", ID, nullable=False),
    Column("number", Integer, nullable=False),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("state", String(10), nullable=False),
    Column("due_at", Instant),
    Column("ended_at", Instant, nullable=False),
    Column("past", Boolean, nullable=False, server_default="0"),
    **BINARY,
)

rollups = Table(
    "rollups",
    metadata,
    Column("name", String(280), primary_key=True),
    Column("span", String(4), nullable=False),
    Column("at", Instant, nullable=False),
    Column("succeeded", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("not_started", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("retried", BigInteger, nullable=False),
    Column("interrupted", BigInteger, nullable=False),
    Column("waits", Text, nullable=False),
    Column("runs", Text, nullable=False),
    Column("cpu_seconds", Double(), nullable=False),
    Column("memory_seconds", Double(), nullable=False),
    Index("ix_rollups_at", "span", "at"),
    **BINARY,
)

unsorted_failures = Table(
    "unsorted_failures",
    metadata,
    Column("attempt", String(48), primary_key=True),
    Column("look_at", Instant, nullable=False, index=True),
    Column("give_up_at", Instant, nullable=False),
    **BINARY,
)

failures = Table(
    "failures",
    metadata,
    Column("id", ID, primary_key=True),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("fingerprint", String(32), nullable=False),
    Column("reason", String(20)),
    Column("exit_code", Integer),
    Column("line", Text, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("users", BigInteger, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("sample", String(48), nullable=False),
    Column("state", String(10), nullable=False),
    Column("owner", String(200)),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("app", "job", "fingerprint"),
    Index("ix_failures_last", "last_at"),
    Index("ix_failures_app", "app", "last_at"),
    Index("ix_failures_state", "state", "last_at"),
    **BINARY,
)

failure_members = Table(
    "failure_members",
    metadata,
    Column("failure", ID, primary_key=True, autoincrement=False),
    Column("execution", ID, primary_key=True, autoincrement=False),
    Index("ix_failure_members_execution", "execution"),
    **BINARY,
)

failure_users = Table(
    "failure_users",
    metadata,
    Column("failure", ID, primary_key=True, autoincrement=False),
    Column("user_id", String(255), primary_key=True),
    **BINARY,
)

failure_hours = Table(
    "failure_hours",
    metadata,
    Column("failure", ID, primary_key=True, autoincrement=False),
    Column("at", Instant, primary_key=True),
    Column("times", BigInteger, nullable=False),
    **BINARY,
)
