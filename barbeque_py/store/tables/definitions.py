"""What is defined: the installation, apps with their jobs, queues and schedules."""

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text, UniqueConstraint

from barbeque_py.store.tables.columns import BINARY, ID, LONG, Instant, metadata

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(6), nullable=False),
    Column("executor", String(200)),
    Column("secret", String(64)),
    **BINARY,
)

apps = Table(
    "apps",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("image", String(500), nullable=False),
    Column("revision", BigInteger),
    Column("spec", LONG, nullable=False),
    Column("changed_at", Instant, nullable=False),
    **BINARY,
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("app", String(128), nullable=False),
    Column("number", Integer, nullable=False),
    Column("image", String(500), nullable=False),
    Column("pinned", String(500)),
    Column("pinned_at", Instant),
    Column("rollback_of", Integer),
    Column("made_by", String(200), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("note", Text),
    UniqueConstraint("app", "number"),
    **BINARY,
)

job_definitions = Table(
    "job_definitions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("app", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("queue", String(80), nullable=False),
    Column("spec", LONG, nullable=False),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("app", "name"),
    **BINARY,
)

editions = Table(
    "editions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("number", Integer, nullable=False),
    Column("text", LONG),
    Column("made_with", String(10), nullable=False),
    Column("made_by", String(200), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("note", Text),
    UniqueConstraint("app", "job", "number"),
    **BINARY,
)

queues = Table(
    "queues",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("paused_at", Instant),
    Column("pause_reason", String(500)),
    Column("paused_until", Instant),
    Column("changed_at", Instant, nullable=False),
    **BINARY,
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", ID, primary_key=True),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("spec", LONG, nullable=False),
    Column("suspended_at", Instant),
    Column("suspended_until", Instant),
    Column("suspend_reason", String(500)),
    Column("until", Instant, nullable=False),
    Column("waiting", Instant),
    Column("firing", Text),
    Column("act_at", Instant, index=True),
    Column("last_message_id", String(36)),
    Column("last_at", Instant),
    Column("last_fired_at", Instant),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("app", "job", "name"),
    **BINARY,
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("queue", String(80), nullable=False),
    Column("topic", String(300), nullable=False),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("subscription_arn", String(400)),
    Column("fault", Text),
    Column("removed_at", Instant),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("queue", "topic"),
    **BINARY,
)
