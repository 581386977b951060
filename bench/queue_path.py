"""The worker's way from the queue through the database, against a naive one, per CPU-second.

All work the same messages off SQS (the tests' own, in a process beside) into MariaDB with
`innodb_flush_log_at_trx_commit=1`. The naive one receives one message, inserts a row, updates it
twice, and deletes the message: three commits, two calls by boto3. Ours is the whole worker process:
intake, claim under limits and quotas, launch, watch, settlement, outbox; only its executor starts
nothing and its log store keeps nothing. The path is the same verbs in one thread, without the
loops. Rounds alternate. Commits are counted by the server, calls by SQS.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from barbeque_py import clock
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.enqueue import Request, enqueue
from barbeque_py.ids import new_message_id
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.messages import JobMessage
from barbeque_py.store import Store, Tx, apps
from barbeque_py.store.schema import migrate
from bench.queue_worker import KINDS, LOAD, WARM, WARM_COUNT
from bench.report import Report, read_options
from tests.cloud.rig import CloudProcess
from tests.stores import MariaDb

INSTALLATION = "bench1"
APP = "bench"
JOBS = ("Thumbnail", "Encode", "Mail")
TABLE = """
CREATE TABLE naive (
    id BIGINT AUTO_INCREMENT PRIMARY KEY, message_id VARCHAR(36) NOT NULL UNIQUE,
    app VARCHAR(128), job VARCHAR(128), message MEDIUMTEXT, status VARCHAR(10),
    finished_at DATETIME(6)
)
"""
_numbers = count()


@dataclass(frozen=True, slots=True)
class Round:
    """What one worker did in one round."""

    per_cpu: float
    rate: float
    commits: float
    calls: float


def main(argv: Sequence[str] | None = None) -> None:
    given = read_options(argv, __doc__, rounds=5, jobs=2000, naive=300)
    counts = {"naive": given.naive, "path": given.jobs, "ours": given.jobs}
    rounds: dict[str, list[Round]] = {kind: [] for kind in KINDS}
    with _outside() as (server, cloud):
        for turn in range(given.rounds):
            for kind in sorted(KINDS, reverse=bool(turn % 2)):
                rounds[kind].append(_measure(kind, counts[kind], server, cloud))
    report = Report("queue and database path of a worker, SQS and MariaDB", given.json)
    _tell(report, rounds)
    report.show()


@contextmanager
def _outside() -> Iterator[tuple[MariaDb, CloudProcess]]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="maria"))
        server = MariaDb(Path(folder))
        stack.callback(server.stop)
        server.start()
        server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
        cloud = CloudProcess()
        stack.callback(cloud.stop)
        os.environ.update(cloud.environment)  # noqa: TID251 - AWS's clients read it here, too
        yield server, cloud


def _measure(kind: str, jobs: int, server: MariaDb, cloud: CloudProcess) -> Round:
    prefix = f"b{next(_numbers)}-"
    with server.database() as url, tempfile.TemporaryDirectory(prefix="bq") as home:
        _make_tables(url)
        _send(prefix, jobs, Path(home))
        settings = {
            "BARBEQUE_DATABASE": url,
            "BARBEQUE_BROKER": f"sqs:?prefix={prefix}",
            "BARBEQUE_EXECUTOR": "process:",  # which the bench's own stands in for
            "BARBEQUE_HOME": home,
        }
        done = subprocess.run(
            [sys.executable, "-m", "bench.queue_worker", kind, str(jobs), cloud.endpoint],
            env={**os.environ, **settings},  # noqa: TID251 - the worker's own
            check=True,
            stdout=subprocess.PIPE,
        )
    took = json.loads(done.stdout)
    return Round(
        jobs / took["cpu"], jobs / took["wall"], took["commits"] / jobs, took["calls"] / jobs
    )


def _make_tables(url: str) -> None:
    def define(tx: Tx) -> None:
        apps.put_queue(tx, Queue(WARM))
        apps.put_app(tx, App(APP, "bench:1"))
        for name in JOBS:
            apps.put_job(tx, JobDefinition(APP, name, ("work",)))

    with closing(Store(url)) as store:
        migrate(store, name=INSTALLATION)
        store.write(define)
        with store.engine.begin() as connection:
            connection.exec_driver_sql(TABLE)


def _send(prefix: str, jobs: int, home: Path) -> None:
    """Put the messages onto both queues, before anybody looks."""
    queues = SqsQueues(prefix, installation=INSTALLATION)
    broker = SqsBroker(prefix)
    logs = DirectoryLogStore(home / "logs")
    with closing(queues), closing(broker):
        for queue, size in ((WARM, WARM_COUNT), (LOAD, jobs)):
            queues.ensure_queue(queue)
            enqueue(broker, logs, [_request(queue, number) for number in range(size)])


def _request(queue: str, number: int) -> Request:
    message = JobMessage(
        message_id=new_message_id(),
        app=APP,
        job=JOBS[number % len(JOBS)],
        queue=queue,
        message='{"image":"s3://bucket/key.jpg","sizes":[64,128,256],"user":12345}',
        enqueued_at=clock.now(),
    )
    return Request(message, queue)


def _tell(report: Report, rounds: dict[str, list[Round]]) -> None:
    for kind in ("path", "ours"):
        pairs = list(zip(rounds[kind], rounds["naive"], strict=True))
        per_cpu = [own.per_cpu / bare.per_cpu for own, bare in pairs]
        report.ratio(f"jobs per CPU-second against the naive worker, {kind}", per_cpu, at_least=10)
        rates = [own.rate / bare.rate for own, bare in pairs]
        report.ratio(f"jobs/s against the naive worker, {kind}", rates)
    for kind, each in rounds.items():
        most = {"commits": 0.7, "calls": 0.6} if kind == "ours" else {}
        for name, facts in (
            ("commits per job", "commits"),
            ("SQS calls per job", "calls"),
            ("jobs per CPU-second", "per_cpu"),
            ("jobs/s", "rate"),
        ):
            value = statistics.median(getattr(one, facts) for one in each)
            report.number(f"{name}, {kind}", value, "", at_most=most.get(facts))


if __name__ == "__main__":
    main()
