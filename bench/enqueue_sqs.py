"""Enqueue toward SQS, per CPU-second of the server, against what one would write first.

Ours: `barbeque api` with BARBEQUE_BROKER=sqs: and BARBEQUE_AUTH=tokens, one POST a job or a batch
of a hundred. Beside it: FastAPI and one boto3 send_message a request, a bare FastAPI echo, and,
where Celery is there (see bench/celery_delay.py), `.delay()` over SQS, per CPU-second of who calls.
SQS is the tests' own, in a process beside. Then SQLite: our group commit against one commit a
request, both with synchronous FULL. Rounds alternate.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from barbeque_py import clock
from barbeque_py.broker import Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.brokers.sqs import SqsBroker
from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.cli.migrate import make_tables
from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.issue import Wish, issue
from barbeque_py.settings import Settings
from barbeque_py.store import Store, apps
from bench.enqueue import BODY
from bench.load import PATH, load_with, loader
from bench.report import Report, quantile, read_options
from bench.site import address_said_by, cpu_seconds, define, running
from tests.cloud.rig import CloudProcess

PREFIX = "bench-"
BATCH = 100
COMMITS = {"many": 100, "one": 1}
BATCHED: dict[str, Any] = {
    "body": json.dumps({"jobs": [json.loads(BODY)] * BATCH}),
    "path": f"{PATH}/batch",
    "jobs": BATCH,
}


@dataclass(frozen=True, slots=True)
class Target:
    """What is loaded: a server, with what, and how many jobs a request asks for."""

    pid: int
    url: str
    body: str = BODY
    path: str = PATH
    jobs: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Round:
    """What one did in one round: jobs per second, and per second of its CPU time."""

    rate: float
    per_cpu: float


def main(argv: Sequence[str] | None = None) -> None:
    given = read_options(argv, __doc__, rounds=4, seconds=3, connections=32)
    title = f"enqueue, {given.connections} connections, load by {loader()}"
    report = Report(title, given.json)
    with _outside() as (cloud, folder):
        _toward_sqs(report, given, cloud, folder)
    with tempfile.TemporaryDirectory(prefix="barbeque-bench-") as folder:
        _into_sqlite(report, given, Path(folder))
    report.show()


@contextmanager
def _outside() -> Iterator[tuple[CloudProcess, Path]]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="barbeque-bench-"))
        cloud = CloudProcess()
        stack.callback(cloud.stop)
        os.environ.update(cloud.environment)  # noqa: TID251 - AWS's clients read it here, too
        yield cloud, Path(folder)


def _toward_sqs(report: Report, given: Any, cloud: CloudProcess, folder: Path) -> None:
    queues = SqsQueues(PREFIX, installation="bench1")
    queues.ensure_queue("default")
    sqs = cloud.client("sqs")
    plain = sqs.create_queue(QueueName="plain")["QueueUrl"]
    with ExitStack() as stack:
        ours = _ours(stack, folder, f"sqs:?prefix={PREFIX}")
        naive = _server(stack, "bench.servers", "sqs", plain)
        targets = {
            "one": ours,
            "batch": replace(ours, **BATCHED),
            "naive": naive,
            "echo": _server(stack, "bench.echo"),
        }
        measures: dict[str, Callable[[], Round]] = {
            name: _loading(target, given) for name, target in targets.items()
        }
        if _celery_python() is not None:
            measures["celery"] = lambda: _delay(cloud.endpoint, plain)
        rounds = _alternate(measures, given.rounds)
        alone = _ask_one_by_one(ours)
    _tell_sqs(report, rounds)
    own = _send_one_by_one()
    report.times("one request at a time, toward SQS", alone)
    report.times("the same without the API: one SendMessageBatch", own)
    over = 1000 * (quantile(alone, 0.5) - quantile(own, 0.5))
    report.number("p50 over the endpoint's own", over, "ms", at_most=5)
    queues.close()


def _into_sqlite(report: Report, given: Any, folder: Path) -> None:
    with ExitStack() as stack:
        targets = {
            "ours": _ours(stack, folder, "database:"),
            "commit": _server(stack, "bench.servers", "commit", str(folder / "naive.db")),
        }
        targets["batch"] = replace(targets["ours"], **BATCHED)
        rounds = _alternate(
            {name: _loading(target, given) for name, target in targets.items()}, given.rounds
        )
    _compare(report, "SQLite, one job a POST", rounds, "ours", "commit", at_least=8)
    _compare(report, "SQLite, a batch of 100", rounds, "batch", "commit", at_least=8)
    _rates(report, rounds, "SQLite")
    commits = _alternate(
        {name: lambda each=size: _commit(folder, each) for name, size in COMMITS.items()},  # type: ignore[misc]
        given.rounds,
    )
    _compare(report, "SQLite without HTTP, 100 a commit", commits, "many", "one", at_least=8)


def _commit(folder: Path, size: int, jobs: int = 1000) -> Round:
    """Put jobs onto a queue in SQLite, so many in a commit, by the broker alone."""
    with closing(Store(f"sqlite:///{folder / 'barbeque.db'}")) as store:
        broker = DatabaseBroker(store)
        broker.send("default", [Parcel(BODY, "bench")])
        began, cpu = clock.monotonic(), time.process_time()
        for _ in range(jobs // size):
            broker.send("default", [Parcel(BODY, "bench")] * size)
        spent, took = time.process_time() - cpu, clock.monotonic() - began
    return Round(jobs / took, jobs / spent)


def _ours(stack: ExitStack, folder: Path, broker: str) -> Target:
    """Start `barbeque api` with tokens on."""
    environment = {
        **os.environ,  # noqa: TID251 - the server's own
        "BARBEQUE_HOME": str(folder),
        "BARBEQUE_BROKER": broker,
        "BARBEQUE_AUTH": "tokens",
        "BARBEQUE_RATE_LIMIT": "100000",
    }
    store, _ = make_tables(Settings.from_environment(environment))
    wish = Wish("bench", frozenset({Scope.ENQUEUE}))
    store.write(lambda tx: define(tx, "none", []))
    _, token = store.write(lambda tx: issue(tx, EVERYBODY, wish))
    assert store.read(apps.queue_names)
    store.close()
    command = [sys.executable, "-P", "-m", "barbeque_py.cli", "api", "--port", "0"]
    process = stack.enter_context(running(command, environment))
    headers = {"Authorization": f"Bearer {token}"}
    return Target(process.pid, address_said_by(process), headers=headers)


def _server(stack: ExitStack, *module: str) -> Target:
    environment = dict(os.environ)  # noqa: TID251 - the server's own
    process = stack.enter_context(running([sys.executable, "-m", *module], environment))
    return Target(process.pid, address_said_by(process))


def _loading(target: Target, given: Any) -> Callable[[], Round]:
    def load(seconds: int) -> int:
        return target.jobs * load_with(
            target.url,
            target.body,
            seconds=seconds,
            connections=max(4, given.connections // target.jobs),
            path=target.path,
            headers=target.headers,
        )

    def measure() -> Round:
        cpu, began = cpu_seconds(target.pid), clock.monotonic()
        done = load(given.seconds)
        took, spent = clock.monotonic() - began, cpu_seconds(target.pid) - cpu
        return Round(done / took, done / spent)

    load(1)
    return measure


def _alternate(measures: dict[str, Callable[[], Round]], count: int) -> dict[str, list[Round]]:
    rounds: dict[str, list[Round]] = {name: [] for name in measures}
    for turn in range(count):
        for name in sorted(measures, reverse=bool(turn % 2)):
            rounds[name].append(measures[name]())
    return rounds


def _celery_python() -> str | None:
    """Return a Python that has Celery, if there is one."""
    python = os.environ.get("BENCH_CELERY_PYTHON", sys.executable)  # noqa: TID251 - the bench's own
    found = subprocess.run([python, "-c", "import celery, kombu"], capture_output=True, check=False)
    return python if found.returncode == 0 else None


def _delay(endpoint: str, url: str, calls: int = 300) -> Round:
    script = Path(__file__).with_name("celery_delay.py")
    command = [str(_celery_python()), str(script), endpoint, url, str(calls)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return Round(**json.loads(said))


def _ask_one_by_one(target: Target, count: int = 200) -> list[float]:
    connection = http.client.HTTPConnection(urlsplit(target.url).netloc)
    headers = {"Content-Type": "application/json", **target.headers}
    seconds = []
    for _ in range(count):
        began = clock.monotonic()
        connection.request("POST", target.path, target.body, headers)
        connection.getresponse().read()
        seconds.append(clock.monotonic() - began)
    connection.close()
    return seconds


def _send_one_by_one(count: int = 200) -> list[float]:
    """Time what the API itself asks of SQS for one job."""
    broker = SqsBroker(PREFIX)
    seconds = []
    for _ in range(count):
        began = clock.monotonic()
        broker.send("default", [Parcel(BODY, "bench")])
        seconds.append(clock.monotonic() - began)
    broker.close()
    return seconds


def _tell_sqs(report: Report, rounds: dict[str, list[Round]]) -> None:
    _compare(report, "one job a POST", rounds, "one", "naive", at_least=6)
    _compare(report, "one job a POST", rounds, "one", "echo", at_least=0.3)
    _compare(report, "a batch of 100", rounds, "batch", "naive", at_least=40)
    if "celery" in rounds:
        _compare(report, "one job a POST", rounds, "one", "celery", at_least=5)
    _rates(report, rounds, "SQS")


def _compare(
    report: Report,
    what: str,
    rounds: dict[str, list[Round]],
    own: str,
    bare: str,
    *,
    at_least: float,
) -> None:
    pairs = list(zip(rounds[own], rounds[bare], strict=True))
    ratios = [one.per_cpu / other.per_cpu for one, other in pairs]
    report.ratio(f"{what}, jobs per CPU-second against {bare}", ratios, at_least=at_least)
    report.ratio(f"{what}, jobs/s against {bare}", [one.rate / other.rate for one, other in pairs])


def _rates(report: Report, rounds: dict[str, list[Round]], where: str) -> None:
    for name, each in rounds.items():
        per_cpu = statistics.median(one.per_cpu for one in each)
        rate = statistics.median(one.rate for one in each)
        report.number(f"{where}: jobs per CPU-second, {name}", per_cpu, "")
        report.number(f"{where}: jobs/s, {name}", rate, "")


if __name__ == "__main__":
    main()
