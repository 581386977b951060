"""A Barbeque database: read a batch at a time, and never written."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from barbeque_py.apps import App
from barbeque_py.errors import StoreUnavailable
from barbeque_py.former import (
    Former,
    FormerExecution,
    FormerJob,
    FormerSlack,
    FormerTry,
    Status,
    retry_of,
)

BATCH = 500
"""Executions that are read at once."""

_tables = MetaData()


def _table(name: str, *columns: Column[Any]) -> Table:
    return Table(f"barbeque_{name}", _tables, Column("id", Integer, primary_key=True), *columns)


_apps = _table(
    "apps", Column("name", String), Column("docker_image", String), Column("description", String)
)
_queues = _table("job_queues", Column("name", String))
_definitions = _table(
    "job_definitions",
    Column("job", String),
    Column("app_id", Integer),
    Column("command", String),
)
_retry_configs = _table(
    "retry_configs",
    Column("job_definition_id", Integer),
    Column("retry_limit", Integer),
    Column("base_delay", Float),
    Column("max_delay", Integer),
    Column("jitter", Integer),
)
_slack = _table(
    "slack_notifications",
    Column("job_definition_id", Integer),
    Column("channel", String),
    Column("notify_success", Integer),
    Column("failure_notification_text", String),
    Column("notify_failure_only_if_retry_limit_reached", Integer),
)
_topics = _table(
    "sns_subscriptions",
    Column("topic_arn", String),
    Column("job_queue_id", Integer),
    Column("job_definition_id", Integer),
)
_executions = _table(
    "job_executions",
    Column("message_id", String),
    Column("status", Integer),
    Column("created_at", DateTime),
    Column("finished_at", DateTime),
    Column("job_definition_id", Integer),
    Column("job_queue_id", Integer),
)
_retries = _table(
    "job_retries",
    Column("message_id", String),
    Column("job_execution_id", Integer),
    Column("status", Integer),
    Column("created_at", DateTime),
    Column("finished_at", DateTime),
)


class FormerDatabase:
    """Barbeque's MySQL at this URL; its sessions can only read."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._engine = create_engine(
            self._url,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "charset": "utf8mb4",
                "connect_timeout": 5,
                "init_command": "SET SESSION TRANSACTION READ ONLY",
                "read_timeout": 60,
            },
        )

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return self._url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def definitions(self) -> Former:
        """Read everything but the history. Raises `StoreUnavailable`."""
        names = {row.id: row.name for row in self._all(_apps)}
        retries = {
            row.job_definition_id: retry_of(
                row.retry_limit, row.base_delay, row.max_delay, jitter=bool(row.jitter)
            )
            for row in self._all(_retry_configs)
        }
        slack = {row.job_definition_id: _read_slack(row) for row in self._all(_slack)}
        return Former(
            apps=[
                App(row.name, row.docker_image, description=row.description or "")
                for row in self._all(_apps)
            ],
            jobs=[
                FormerJob(
                    row.id,
                    names.get(row.app_id, ""),
                    row.job,
                    row.command,
                    retries.get(row.id),
                    slack.get(row.id),
                )
                for row in self._all(_definitions)
            ],
            queues={row.id: row.name for row in self._all(_queues)},
            topics=[
                (row.topic_arn, row.job_queue_id, row.job_definition_id)
                for row in self._all(_topics)
            ],
        )

    def count(self) -> int:
        """Return how many executions there are. Raises `StoreUnavailable`."""
        return int(self._rows(select(func.count()).select_from(_executions))[0][0])

    def history(self) -> Iterator[list[FormerExecution]]:
        """Yield all executions in batches, the oldest first. Raises `StoreUnavailable`."""
        last = 0
        while rows := self._rows(_after(last)):
            numbers = [row.id for row in rows]
            last = numbers[-1]
            query = select(_retries).where(_retries.c.job_execution_id.in_(numbers))
            tries: dict[int, list[FormerTry]] = {}
            for row in self._rows(query.order_by(_retries.c.id)):
                tries.setdefault(row.job_execution_id, []).append(_read_try(row))
            yield [_read_execution(row, tries.get(row.id, ())) for row in rows]

    def _all(self, table: Table) -> Sequence[Any]:
        return self._rows(select(table).order_by(table.c.id))

    def _rows(self, query: Any) -> Sequence[Any]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            raise StoreUnavailable(
                f"the Barbeque database {self.shown_url} can't be read ({reason}): check its "
                "address, name and password, and that this user may SELECT there"
            ) from error


def _after(last: int) -> Any:
    return (
        select(_executions).where(_executions.c.id > last).order_by(_executions.c.id).limit(BATCH)
    )


def _read_slack(row: Any) -> FormerSlack:
    return FormerSlack(
        row.channel,
        bool(row.notify_success),
        bool(row.notify_failure_only_if_retry_limit_reached),
        row.failure_notification_text or "",
    )


def _read_try(row: Any) -> FormerTry:
    return FormerTry(
        row.message_id, Status(row.status), _utc(row.created_at), _utc_or_none(row.finished_at)
    )


def _read_execution(row: Any, retries: Sequence[FormerTry]) -> FormerExecution:
    return FormerExecution(
        row.id,
        row.message_id,
        row.job_definition_id,
        row.job_queue_id,
        Status(row.status),
        _utc(row.created_at),
        _utc_or_none(row.finished_at),
        retries,
    )


def _utc(instant: datetime) -> datetime:
    """Rails stores UTC without saying so."""
    return instant.replace(tzinfo=UTC)


def _utc_or_none(instant: datetime | None) -> datetime | None:
    return None if instant is None else _utc(instant)
