"""The tables, as the newest migration leaves them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

SCOPE = 300
"""Characters of a limit's scope: `job:` and two names of 128."""


class Instant(TypeDecorator[datetime]):
    """A UTC instant to the microsecond: DATETIME(6), naive in the database, aware in Python."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Ask MySQL for microseconds; SQLite's text keeps them anyway."""
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Write the instant in UTC, without its zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read it back as UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


_Id = BigInteger().with_variant(Integer(), "sqlite")
_Long = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
_BINARY: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_engine": "InnoDB",
}
_BINARY |= {key.replace("mysql", "mariadb"): value for key, value in _BINARY.items()}

metadata = MetaData()

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(6), nullable=False),
    Column("executor", String(200)),
    Column("secret", String(64)),
    **_BINARY,
)

apps = Table(
    "apps",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("image", String(500), nullable=False),
    Column("revision", BigInteger),
    Column("spec", _Long, nullable=False),
    Column("changed_at", Instant, nullable=False),
    **_BINARY,
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", _Id, primary_key=True),
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
    **_BINARY,
)

job_definitions = Table(
    "job_definitions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("app", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("queue", String(80), nullable=False),
    Column("spec", _Long, nullable=False),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("app", "name"),
    **_BINARY,
)

editions = Table(
    "editions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("number", Integer, nullable=False),
    Column("text", _Long),
    Column("made_with", String(10), nullable=False),
    Column("made_by", String(200), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("note", Text),
    UniqueConstraint("app", "job", "number"),
    **_BINARY,
)

queues = Table(
    "queues",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("paused_at", Instant),
    Column("pause_reason", String(500)),
    Column("changed_at", Instant, nullable=False),
    **_BINARY,
)

executions = Table(
    "executions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("message_id", String(36), nullable=False, unique=True),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("queue", String(80), nullable=False),
    Column("message", _Long),
    Column("message_key", String(900)),
    Column("options", _Long, nullable=False),
    Column("priority_rank", SmallInteger, nullable=False),
    Column("state", String(10), nullable=False),
    Column("stage", String(10), nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("held_by", String(SCOPE)),
    Column("round", Integer, nullable=False),
    Column("counted", Integer, nullable=False),
    Column("counted_before", Integer, nullable=False),
    Column("uncounted", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("image_from", Integer, nullable=False, server_default="1"),
    Column("could_not_start", Boolean, nullable=False),
    Column("reason", String(20)),
    Column("cancel_requested_at", Instant),
    Column("tombstone", Boolean, nullable=False),
    Column("note", Text),
    Column("sent_at", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("user_id", String(255)),
    Index("ix_executions_claim", "queue", "stage", "priority_rank", "app", "id"),
    Index("ix_executions_due", "stage", "due_at"),
    Index("ix_executions_held", "held_by", "priority_rank", "id"),
    Index("ix_executions_state", "state", "id"),
    Index("ix_executions_app", "app", "id"),
    Index("ix_executions_job", "app", "job", "id"),
    Index("ix_executions_job_state", "app", "job", "state", "id"),
    Index("ix_executions_queue", "queue", "id"),
    Index("ix_executions_finished", "finished_at"),
    Index("ix_executions_recorded", "recorded_at"),
    Index("ix_executions_user", "user_id", "id"),
    **_BINARY,
)

tags = Table(
    "tags",
    metadata,
    Column("app", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("value", String(256), primary_key=True),
    Column("execution", _Id, primary_key=True, autoincrement=False),
    Index("ix_tags_execution", "execution"),
    **_BINARY,
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("execution", _Id, nullable=False),
    Column("number", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("place", String(200), nullable=False),
    Column("owner", String(80), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("lease_until", Instant, nullable=False),
    Column("request", _Long),
    Column("scopes", Text, nullable=False),
    Column("image", String(500), nullable=False),
    Column("command", Text),
    Column("revision", BigInteger),
    Column("handle", String(200)),
    Column("launch_number", Integer, nullable=False, server_default="1"),
    Column("first_called_at", Instant),
    Column("log_at", String(900)),
    Column("version", BigInteger),
    Column("checked_at", Instant),
    Column("claimed_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("deadline_at", Instant),
    Column("act_at", Instant),
    Column("cancel_requested_at", Instant),
    Column("stop_reason", String(20)),
    Column("stop_requested_at", Instant),
    Column("finished_at", Instant),
    Column("reason", String(20)),
    Column("exit_code", Integer),
    Column("detail", Text),
    Column("counted", Boolean),
    Column("log_sealed_at", Instant),
    Column("log_lines", BigInteger),
    Column("log_bytes", BigInteger),
    Column("log_error_lines", BigInteger),
    Column("log_truncated", Boolean),
    Column("log_error", Text),
    Column("cpu", Integer),
    Column("memory", Integer),
    UniqueConstraint("execution", "number"),
    Index("ix_attempts_live", "state", "place", "owner"),
    Index("ix_attempts_place", "place", "state", "lease_until"),
    Index("ix_attempts_owner", "owner", "state"),
    Index("ix_attempts_act", "place", "state", "act_at"),
    Index("ix_attempts_checked", "place", "state", "checked_at"),
    Index("ix_attempts_revision", "revision", "execution"),
    Index("ix_attempts_handle", "handle"),
    **_BINARY,
)

retries = Table(
    "retries",
    metadata,
    Column("message_id", String(36), primary_key=True),
    Column("execution", _Id, nullable=False, index=True),
    **_BINARY,
)

limits = Table(
    "limits",
    metadata,
    Column("scope", String(SCOPE), primary_key=True),
    Column("max", Integer),
    Column("used", Integer, nullable=False),
    **_BINARY,
)

messages = Table(
    "messages",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("queue", String(80), nullable=False),
    Column("body", Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb"), nullable=False),
    Column("broker_id", String(36), nullable=False),
    Column("receipt", String(36)),
    Column("receives", Integer, nullable=False),
    Column("visible_at", Instant, nullable=False),
    Column("sent_at", Instant, nullable=False),
    Index("ix_messages_visible", "queue", "visible_at", "id"),
    **_BINARY,
)

dead_messages = Table(
    "dead_messages",
    metadata,
    Column("id", _Id, primary_key=True),
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
    **_BINARY,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Id, primary_key=True),
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
    **_BINARY,
)

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
    **_BINARY,
)

duties = Table(
    "duties",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("lease_until", Instant, nullable=False),
    Column("done_at", Instant),
    **_BINARY,
)

quotas = Table(
    "quotas",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("tokens", Double(), nullable=False),
    Column("filled_at", Instant, nullable=False),
    Column("rate", Double()),
    **_BINARY,
)

pauses = Table(
    "pauses",
    metadata,
    Column("scope", String(SCOPE), primary_key=True),
    Column("until", Instant, nullable=False),
    Column("seconds", Double(), nullable=False),
    Column("probing", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    **_BINARY,
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
    **_BINARY,
)

bulk_changes = Table(
    "bulk_changes",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("action", String(10), nullable=False),
    Column("wanted", _Long, nullable=False),
    Column("app", String(128)),
    Column("asked_by", String(200), nullable=False),
    Column("found", BigInteger, nullable=False),
    Column("top", BigInteger),
    Column("changed", BigInteger, nullable=False),
    Column("left_alone", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Index("ix_bulk_changes_created", "created_at"),
    **_BINARY,
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("queue", String(80), nullable=False),
    Column("topic", String(300), nullable=False),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("subscription_arn", String(400)),
    Column("fault", Text),
    Column("removed_at", Instant),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("queue", "topic"),
    **_BINARY,
)

reports = Table(
    "reports",
    metadata,
    Column("attempt", String(48), primary_key=True),
    Column("percent", Double()),
    Column("text", Text),
    Column("told_at", Instant),
    Column("result", _Long),
    Column("fault", Text),
    Column("result_at", Instant),
    **_BINARY,
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("spec", _Long, nullable=False),
    Column("suspended_at", Instant),
    Column("until", Instant, nullable=False),
    Column("waiting", Instant),
    Column("firing", Text),
    Column("act_at", Instant, index=True),
    Column("last_message_id", String(36)),
    Column("last_at", Instant),
    Column("last_fired_at", Instant),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("app", "job", "name"),
    **_BINARY,
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("origin", String(100), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("app", String(128)),
    Column("before", _Long),
    Column("after", _Long),
    Index("ix_audit_app", "app", "id"),
    Index("ix_audit_subject", "subject", "id"),
    Index("ix_audit_actor", "actor", "id"),
    Index("ix_audit_action", "action", "id"),
    Index("ix_audit_at", "at"),
    **_BINARY,
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
    **_BINARY,
)

users = Table(
    "users",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("password", String(200)),
    Column("roles", Text, nullable=False),
    Column("made_by", String(200), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Column("last_login_at", Instant),
    **_BINARY,
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user", _Id),
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
    **_BINARY,
)

login_links = Table(
    "login_links",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user", _Id),
    Column("name", String(254), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_login_links_user", "user"),
    Index("ix_login_links_expires_at", "expires_at"),
    **_BINARY,
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("scope", String(80), primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    Index("ix_login_failures_since", "since"),
    **_BINARY,
)

address_book = Table(
    "address_book",
    metadata,
    Column("app", String(128), primary_key=True),
    Column("user_id", String(255), primary_key=True),
    Column("spec", _Long, nullable=False),
    Column("changed_at", Instant, nullable=False),
    **_BINARY,
)

notices = Table(
    "notices",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("notice_id", String(36), nullable=False, unique=True),
    Column("execution", _Id),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("event", String(20), nullable=False),
    Column("audience", String(10), nullable=False),
    Column("channel", String(10), nullable=False),
    Column("target", Text, nullable=False),
    Column("facts", _Long, nullable=False),
    Column("same", String(32)),
    Column("state", String(10), nullable=False),
    Column("reason", Text),
    Column("receipt", String(200)),
    Column("gathered_into", _Id),
    Column("tries", Integer, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("done_at", Instant),
    Index("ix_notices_execution", "execution", "id"),
    Index("ix_notices_app", "app", "id"),
    Index("ix_notices_state", "state", "id"),
    Index("ix_notices_same", "same", "state", "done_at"),
    Index("ix_notices_gathered", "gathered_into"),
    Index("ix_notices_made", "made_at"),
    **_BINARY,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("notice", _Id, nullable=False),
    Column("at", Instant, nullable=False),
    Column("seconds", Double(), nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("request", _Long),
    Column("answer", Text),
    Index("ix_deliveries_notice", "notice", "id"),
    **_BINARY,
)

failing = Table(
    "failing",
    metadata,
    Column("app", String(128), primary_key=True),
    Column("job", String(128), primary_key=True),
    Column("since", Instant, nullable=False),
    **_BINARY,
)

signing_secrets = Table(
    "signing_secrets",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("app", String(128), nullable=False),
    Column("secret", String(100), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("retires_at", Instant),
    Index("ix_signing_secrets_app", "app", "id"),
    **_BINARY,
)

callbacks = Table(
    "callbacks",
    metadata,
    Column("attempt", String(48), primary_key=True),
    Column("url", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("answered_at", Instant),
    Column("ended_at", Instant),
    Column("reason", String(20)),
    Column("exit_code", Integer),
    Column("detail", Text),
    Column("log_bytes", BigInteger, nullable=False),
    **_BINARY,
)

callback_lines = Table(
    "callback_lines",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("attempt", String(48), nullable=False),
    Column("at", Instant, nullable=False),
    Column("stream", String(3), nullable=False),
    Column("text", _Long, nullable=False),
    Index("ix_callback_lines_attempt", "attempt", "id"),
    **_BINARY,
)

endings = Table(
    "endings",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("execution", _Id, nullable=False),
    Column("number", Integer, nullable=False),
    Column("app", String(128), nullable=False),
    Column("job", String(128), nullable=False),
    Column("state", String(10), nullable=False),
    Column("due_at", Instant),
    Column("ended_at", Instant, nullable=False),
    Column("past", Boolean, nullable=False, server_default="0"),
    **_BINARY,
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
    **_BINARY,
)

unsorted_failures = Table(
    "unsorted_failures",
    metadata,
    Column("attempt", String(48), primary_key=True),
    Column("look_at", Instant, nullable=False, index=True),
    Column("give_up_at", Instant, nullable=False),
    **_BINARY,
)

failures = Table(
    "failures",
    metadata,
    Column("id", _Id, primary_key=True),
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
    **_BINARY,
)

failure_members = Table(
    "failure_members",
    metadata,
    Column("failure", _Id, primary_key=True, autoincrement=False),
    Column("execution", _Id, primary_key=True, autoincrement=False),
    Index("ix_failure_members_execution", "execution"),
    **_BINARY,
)

failure_users = Table(
    "failure_users",
    metadata,
    Column("failure", _Id, primary_key=True, autoincrement=False),
    Column("user_id", String(255), primary_key=True),
    **_BINARY,
)

failure_hours = Table(
    "failure_hours",
    metadata,
    Column("failure", _Id, primary_key=True, autoincrement=False),
    Column("at", Instant, primary_key=True),
    Column("times", BigInteger, nullable=False),
    **_BINARY,
)

marks = Table(
    "marks",
    metadata,
    Column("person", String(200), primary_key=True),
    Column("app", String(128), primary_key=True),
    Column("job", String(128), primary_key=True),
    Column("tag", String(64), primary_key=True),
    **_BINARY,
)
