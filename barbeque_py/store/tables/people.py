"""Who may do what, and who did it."""

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from barbeque_py.store.tables.columns import BINARY, ID, LONG, Instant, metadata

users = Table(
    "users",
    metadata,
    Column("id", ID, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("password", String(200)),
    Column("roles", Text, nullable=False),
    Column("made_by", String(200), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Column("last_login_at", Instant),
    **BINARY,
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user", ID),
    Column("name", String(254), nullable=False),
    Column("roles", Text, nullable=False),
    Column("way", String(10), nullable=False),
    Column("origin", String(100), nullable=False),
    Column("browser", String(200), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_sessions_user", "user"),
    Index("ix_sessions_expires_at", "expires_at"),
    **BINARY,
)

login_links = Table(
    "login_links",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user", ID),
    Column("name", String(254), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_login_links_user", "user"),
    Index("ix_login_links_expires_at", "expires_at"),
    **BINARY,
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("scope", String(80), primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    Index("ix_login_failures_since", "since"),
    **BINARY,
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("name", String(100), nullable=False),
    Column("app", String(128)),
    Column("scopes", String(100), nullable=False),
    Column("made_by", String(200), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant),
    Column("replaced_by", String(12)),
    Index("ix_tokens_replaced_by", "replaced_by"),
    **BINARY,
)

audit = Table(
    "audit",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("origin", String(100), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("app", String(128)),
    Column("before", LONG),
    Column("after", LONG),
    Index("ix_audit_app", "app", "id"),
    Index("ix_audit_subject", "subject", "id"),
    Index("ix_audit_actor", "actor", "id"),
    Index("ix_audit_action", "action", "id"),
    Index("ix_audit_at", "at"),
    **BINARY,
)

marks = Table(
    "marks",
    metadata,
    Column("person", String(200), primary_key=True),
    Column("app", String(128), primary_key=True),
    Column("job", String(128), primary_key=True),
    Column("tag", String(64), primary_key=True),
    **BINARY,
)

views = Table(
    "views",
    metadata,
    Column("id", ID, primary_key=True),
    Column("person", String(200), nullable=False),
    Column("name", String(60), nullable=False),
    Column("query", Text, nullable=False),
    Column("app", String(128)),
    Column("shared", Boolean, nullable=False),
    UniqueConstraint("person", "name", name="uq_views_person"),
    Index("ix_views_shared", "shared"),
    **BINARY,
)
