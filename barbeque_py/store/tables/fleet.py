"""What workers share: duties, limits, quotas, and what places lack."""

from sqlalchemy import Boolean, Column, Double, Integer, String, Table, Text

from barbeque_py.store.tables.columns import BINARY, SCOPE, Instant, metadata

workers = Table(
    "workers",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("place", String(200), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("queues", Text),
    Column("version", String(40)),
    Column("drained_at", Instant),
    **BINARY,
)

duties = Table(
    "duties",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("lease_until", Instant, nullable=False),
    Column("done_at", Instant),
    **BINARY,
)

limits = Table(
    "limits",
    metadata,
    Column("scope", String(SCOPE), primary_key=True),
    Column("max", Integer),
    Column("used", Integer, nullable=False),
    **BINARY,
)

quotas = Table(
    "quotas",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("tokens", Double(), nullable=False),
    Column("filled_at", Instant, nullable=False),
    Column("rate", Double()),
    **BINARY,
)

pauses = Table(
    "pauses",
    metadata,
    Column("scope", String(SCOPE), primary_key=True),
    Column("until", Instant, nullable=False),
    Column("seconds", Double(), nullable=False),
    Column("probing", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    **BINARY,
)

task_definitions = Table(
    "task_definitions",
    metadata,
    Column("content", String(64), primary_key=True),
    Column("place", String(200), nullable=False),
    Column("family", String(255), nullable=False),
    Column("arn", String(300)),
    Column("owner", String(80)),
    Column("lease_until", Instant),
    Column("registered_at", Instant),
    **BINARY,
)
