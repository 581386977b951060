"""What is carried: messages, the outbox, and notices to people."""

from sqlalchemy import Column, Double, Index, Integer, String, Table, Text
from sqlalchemy.dialects import mysql

from barbeque_py.store.tables.columns import BINARY, ID, LONG, Instant, metadata

messages = Table(
    "messages",
    metadata,
    Column("id", ID, primary_key=True),
    Column("queue", String(80), nullable=False),
    Column("body", Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb"), nullable=False),
    Column("broker_id", String(36), nullable=False),
    Column("receipt", String(36)),
    Column("receives", Integer, nullable=False),
    Column("visible_at", Instant, nullable=False),
    Column("sent_at", Instant, nullable=False),
    Index("ix_messages_visible", "queue", "visible_at", "id"),
    **BINARY,
)

dead_messages = Table(
    "dead_messages",
    metadata,
    Column("id", ID, primary_key=True),
    Column("queue", String(80), nullable=False),
    Column("broker_id", String(36), nullable=False, unique=True),
    Column("message_id", String(36), index=True),
    Column("body", Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("sent_at", Instant, nullable=False),
    Column("died_at", Instant, nullable=False),
    Column("app", String(128)),
    Index("ix_dead_messages_died", "died_at"),
    Index("ix_dead_messages_app", "app", "id"),
    **BINARY,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("lane", String(200), nullable=False),
    Column("place", String(200)),
    Column("subject", String(48), nullable=False),
    Column("dedupe", String(200), nullable=False, unique=True),
    Column("due_at", Instant, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("owner", String(80)),
    Column("lease_until", Instant),
    Column("last_error", Text),
    Column("done_at", Instant),
    Index("ix_outbox_due", "done_at", "due_at"),
    Index("ix_outbox_lease", "done_at", "lease_until"),
    **BINARY,
)

notices = Table(
    "notices",
    metadata,
    Column("id", ID, primary_key=True),
    Column("notice_id", String(36), nullable=False, unique=True),
    Column("execution", ID),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("event", String(20), nullable=False),
    Column("audience", String(10), nullable=False),
    Column("channel", String(10), nullable=False),
    Column("target", Text, nullable=False),
    Column("facts", LONG, nullable=False),
    Column("same", String(32)),
    Column("state", String(10), nullable=False),
    Column("reason", Text),
    Column("receipt", String(200)),
    Column("gathered_into", ID),
    Column("tries", Integer, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("done_at", Instant),
    Index("ix_notices_execution", "execution", "id"),
    Index("ix_notices_app", "app", "id"),
    Index("ix_notices_state", "state", "id"),
    Index("ix_notices_same", "same", "state", "done_at"),
    Index("ix_notices_gathered", "gathered_into"),
    Index("ix_notices_made", "made_at"),
    **BINARY,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", ID, primary_key=True),
    Column("notice", ID, nullable=False),
    Column("at", Instant, nullable=False),
    Column("seconds", Double(), nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("request", LONG),
    Column("answer", Text),
    Index("ix_deliveries_notice", "notice", "id"),
    **BINARY,
)

failing = Table(
    "failing",
    metadata,
    Column("app", String(128), primary_key=True),
    Column("job", String(128), primary_key=True),
    Column("since", Instant, nullable=False),
    **BINARY,
)

address_book = Table(
    "address_book",
    metadata,
    Column("app", String(128), primary_key=True),
    Column("user_id", String(255), primary_key=True),
    Column("spec", LONG, nullable=False),
    Column("changed_at", Instant, nullable=False),
    **BINARY,
)

signing_secrets = Table(
    "signing_secrets",
    metadata,
    Column("id", ID, primary_key=True),
    Column("app", String(128), nullable=False),
    Column("secret", String(100), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("retires_at", Instant),
    Index("ix_signing_secrets_app", "app", "id"),
    **BINARY,
)
