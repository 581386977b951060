"""A Barbeque database: its tables as they are since 2024, and rows in every state there is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pymysql
from sqlalchemy import make_url

from tests.stores import MariaDb

DDL = """
CREATE TABLE barbeque_apps (
  id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(255) NOT NULL UNIQUE,
  docker_image VARCHAR(255) NOT NULL, description TEXT, {times});
CREATE TABLE barbeque_job_queues (
  id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(255) NOT NULL UNIQUE, description TEXT,
  queue_url VARCHAR(255) NOT NULL, {times});
CREATE TABLE barbeque_job_definitions (
  id INT PRIMARY KEY AUTO_INCREMENT, job VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
  app_id INT NOT NULL, command VARCHAR(255) NOT NULL, description TEXT, {times},
  UNIQUE (job, app_id));
CREATE TABLE barbeque_retry_configs (
  id BIGINT PRIMARY KEY AUTO_INCREMENT, job_definition_id INT NOT NULL UNIQUE,
  retry_limit INT NOT NULL DEFAULT 3, base_delay FLOAT NOT NULL DEFAULT 15.0, max_delay INT,
  jitter TINYINT(1) NOT NULL DEFAULT 1, {times});
CREATE TABLE barbeque_slack_notifications (
  id INT PRIMARY KEY AUTO_INCREMENT, job_definition_id INT, channel VARCHAR(255) NOT NULL,
  notify_success TINYINT(1) NOT NULL DEFAULT 0, failure_notification_text VARCHAR(255), {times},
  notify_failure_only_if_retry_limit_reached TINYINT(1) NOT NULL DEFAULT 0);
CREATE TABLE barbeque_sns_subscriptions (
  id INT PRIMARY KEY AUTO_INCREMENT, topic_arn VARCHAR(255) NOT NULL, job_queue_id INT NOT NULL,
  job_definition_id INT NOT NULL, {times});
CREATE TABLE barbeque_job_executions (
  id INT PRIMARY KEY AUTO_INCREMENT, message_id VARCHAR(255) NOT NULL UNIQUE,
  status INT NOT NULL DEFAULT 0, {times}, job_definition_id INT, finished_at DATETIME,
  job_queue_id INT, KEY (created_at), KEY (job_definition_id), KEY (status));
CREATE TABLE barbeque_job_retries (
  id INT PRIMARY KEY AUTO_INCREMENT, message_id VARCHAR(255) NOT NULL UNIQUE,
  job_execution_id INT NOT NULL, status INT NOT NULL DEFAULT 0, finished_at DATETIME, {times},
  KEY (status));
CREATE TABLE barbeque_docker_containers (
  id INT PRIMARY KEY AUTO_INCREMENT, message_id VARCHAR(255) NOT NULL UNIQUE,
  container_id VARCHAR(255) NOT NULL, {times});
CREATE TABLE barbeque_ecs_hako_tasks (
  id INT PRIMARY KEY AUTO_INCREMENT, message_id VARCHAR(255) NOT NULL UNIQUE,
  cluster VARCHAR(255) NOT NULL, task_arn VARCHAR(255) NOT NULL, {times});
"""
_TIMES = "created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL"
_TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:uploads"


@dataclass(frozen=True)
class BarbequeDatabase:
    """One such database, to be filled by SQL."""

    url: str

    def run(self, statement: str, *rows: tuple[Any, ...]) -> None:
        """Run the statement once for each row, or once."""
        with self._connect() as connection, connection.cursor() as cursor:
            if rows:
                cursor.executemany(statement, rows)
            else:
                cursor.execute(statement)
            connection.commit()

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return what the query finds."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def _connect(self) -> Any:
        url = make_url(self.url)
        return pymysql.connect(
            host=url.host, port=url.port or 3306, user=url.username, database=url.database
        )


@contextmanager
def barbeque_database(server: MariaDb) -> Iterator[BarbequeDatabase]:
    """Make one, with two apps, three jobs and two queues."""
    with server.database() as url:
        made = BarbequeDatabase(url)
        for statement in DDL.format(times=_TIMES).split(";"):
            if statement.strip():
                made.run(f"{statement} {_TABLE}")
        _define(made)
        yield made


def _define(made: BarbequeDatabase) -> None:
    now = "UTC_TIMESTAMP(), UTC_TIMESTAMP()"
    made.run(
        f"INSERT INTO barbeque_apps VALUES (%s, %s, %s, %s, {now})",
        (1, "media", "registry.example.com/media:v1", "Makes pictures"),
        (2, "bad name!", "x", None),
        (3, "shop", "shop", None),
    )
    made.run(
        f"INSERT INTO barbeque_job_queues VALUES (%s, %s, NULL, 'https://sqs/x', {now})",
        (1, "default"),
        (2, "slow"),
    )
    made.run(
        f"INSERT INTO barbeque_job_definitions VALUES (%s, %s, %s, %s, NULL, {now})",
        (1, "Thumbnail::Make", 1, "---\n- rake\n- barbeque:execute\n- BARBEQUE_ENV=1\n"),
        (2, "encode", 1, "---\n- encode\n- 2\n"),
        (3, "Encode", 1, "---\n- Encode\n"),
        (4, "Nothing", 1, "--- []\n"),
        (5, "Lost", 2, "---\n- lost\n"),
    )
    made.run(
        f"INSERT INTO barbeque_retry_configs VALUES (%s, %s, %s, %s, %s, %s, {now})",
        (1, 1, 3, 15.0, None, 1),
        (2, 2, 500, 60.5, 30, 0),
    )
    made.run(
        f"INSERT INTO barbeque_slack_notifications VALUES (%s, %s, %s, %s, %s, {now}, %s)",
        (1, 1, "#media", 1, "@oncall", 1),
        (2, 2, "media", 0, None, 0),
    )
    made.run(
        f"INSERT INTO barbeque_sns_subscriptions VALUES (%s, %s, %s, %s, {now})",
        (1, TOPIC, 2, 1),
        (2, TOPIC, 1, 4),
    )


def message_id(number: int, kind: int = 0) -> str:
    """Return the id of the execution, or of its retry, with this number."""
    return f"{number:08x}-0000-4000-8000-{kind:012x}"


def fill(made: BarbequeDatabase, count: int, now: datetime) -> None:
    """Write so many executions: of ten four succeeded, two failed, the others see below."""
    start = (now - timedelta(days=20)).replace(tzinfo=None, microsecond=0)
    executions: list[tuple[Any, ...]] = []
    retries: list[tuple[Any, ...]] = []
    for n in range(1, count + 1):
        at = start + timedelta(seconds=n)
        end = at + timedelta(seconds=5)
        # the last digit: 0-3 success, 4 failed, 5 error, 6 retried twice to success, 7 retried
        # to failure, 8 running, 9 pending; each hundredth is of a deleted definition
        digit = n % 10
        status = (1, 1, 1, 1, 2, 4, 1, 2, 5, 0)[digit]
        definition = 99 if n % 100 == 0 else 1 + n % 3
        ended = end if digit < 8 else None
        executions.append((n, message_id(n), status, at, at, definition, ended, 1 + n % 2))
        tries = {6: (2, 1), 7: (2,)}.get(digit, ())
        for number, each in enumerate(tries, start=1):
            later = end + timedelta(minutes=number)
            retries.append((message_id(n, number), n, each, later, at, at))
    made.run("INSERT INTO barbeque_job_executions VALUES (%s,%s,%s,%s,%s,%s,%s,%s)", *executions)
    made.run(
        "INSERT INTO barbeque_job_retries (message_id, job_execution_id, status, finished_at, "
        "created_at, updated_at) VALUES (%s,%s,%s,%s,%s,%s)",
        *retries,
    )
