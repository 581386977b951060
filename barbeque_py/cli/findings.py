"""What `barbeque check` looks at, one question a function; each answer has its cure."""

import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from barbeque_py import clock
from barbeque_py.cli.exits import Failure
from barbeque_py.cli.finding import FAULT, OK, WARNING, Finding, attempt
from barbeque_py.cli.findings_aws import Aws, uses_aws
from barbeque_py.cli.findings_notices import look_at_notices, send_test
from barbeque_py.cli.folders import make_folder
from barbeque_py.cli.places import abandoned
from barbeque_py.client import Client
from barbeque_py.ecs_url import EcsUrl
from barbeque_py.errors import BarbequeError
from barbeque_py.setting_urls import ExecutorUrl
from barbeque_py.settings import Settings
from barbeque_py.store import Store, Tx, apps, attempts, lanes, limits, workers
from barbeque_py.store.revision import check_schema, newest_revision
from barbeque_py.wiring.executors import choose_executor, engine_version, open_executor
from barbeque_py.wiring.front import check_installation
from barbeque_py.wiring.logs import open_logs

_GIB = 1024**3
_LITTLE_SPACE = _GIB
_PROBE = "barbeque-check"


def examine(
    settings: Settings, *, looking: Callable[[str], None], tell: Sequence[str] = ()
) -> Iterator[Finding]:
    """Look at everything; what depends on a part that is at fault is left out.

    `looking` is told of each part before it is looked at, as that may take a while. `tell` are
    addresses of people to whom a test is sent.
    """
    yield from (Finding(WARNING, "setting", sentence) for sentence in settings.warnings)
    yield attempt("home", lambda: _home(settings))
    aws = Aws()
    if uses_aws(settings):
        looking("AWS")
        yield from aws.look(settings)
    yield attempt("notices", lambda: look_at_notices(settings))
    for address in tell:
        looking(address)
        yield attempt("notices", lambda address=address: send_test(settings, address))  # type: ignore[misc]
    looking("the logs")
    if settings.logs.kind == "s3":
        yield from aws.look_at_logs(settings)
    else:
        yield attempt("logs", lambda: _logs(settings))
    looking("the database")
    try:
        store = Store(settings.database)
    except BarbequeError as error:
        yield Finding(FAULT, "database", str(error))
        return
    try:
        yield from _with_database(store, settings, aws, looking)
    finally:
        store.close()
    looking("the server")
    yield _server(settings)


def _home(settings: Settings) -> Finding:
    if not settings.home.is_dir():
        raise Failure(f"{settings.home} is not there: `barbeque up` makes it, or set BARBEQUE_HOME")
    make_folder(settings.home, "BARBEQUE_HOME")
    return Finding(OK, "home", f"{settings.home} can be written")


def _logs(settings: Settings) -> Finding:
    if settings.logs.path.is_relative_to(settings.home):
        _home(settings)
    store, key = open_logs(settings), f"{_PROBE}/{uuid.uuid4().hex}"
    store.put(key, [b"probe"])
    store.read(key)
    store.remove([key])
    return _space(settings.logs.path)


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    said = f"{folder} can be written and has {free / _GIB:,.1f} GiB free"
    if free < _LITTLE_SPACE:
        return Finding(WARNING, "logs", f"{said}: free some, or point BARBEQUE_LOGS elsewhere")
    return Finding(OK, "logs", said)


def _with_database(
    store: Store, settings: Settings, aws: Aws, looking: Callable[[str], None]
) -> Iterator[Finding]:
    database = attempt("database", lambda: _database(store, settings))
    yield database
    if database.level == FAULT:
        return
    looking("the broker")
    if settings.broker.kind == "sqs":
        yield from aws.look_at_broker(settings, store)
    else:
        yield attempt("broker", lambda: _broker(store))
    looking("the executor")
    if isinstance(settings.executor, EcsUrl):
        yield from aws.look_at_executor(settings, settings.executor, store)
    else:
        yield attempt("executor", lambda: _executor(store, settings))
    yield attempt("workers", lambda: store.read(_workers))
    yield from store.read(_places)
    yield store.read(_limits)
    yield from store.read(_queues)


def _database(store: Store, settings: Settings) -> Finding:
    check_schema(store)
    installation = check_installation(store, settings)
    revision = newest_revision()
    return Finding(
        OK, "database", f"{store.shown_url}, schema {revision}, installation {installation}"
    )


def _broker(store: Store) -> Finding:
    def count(tx: Tx) -> int:
        return sum(lanes.depth(tx, name) for name in apps.queue_names(tx))

    return Finding(OK, "broker", f"database:, {store.read(count)} messages wait to be taken in")


def _executor(store: Store, settings: Settings) -> Finding:
    url = choose_executor(store, settings)
    installation = store.read(apps.installation_name)
    logs = open_logs(settings)
    executor, close = open_executor(url, settings, store, logs, installation=installation)
    try:
        place, slots = executor.place(), executor.slots()
    finally:
        close()
    limit = "no limit of slots" if slots is None else f"{slots} slots"
    return Finding(OK, "executor", f"{_kind(url)}, {limit}, place {place}")


def _kind(url: ExecutorUrl | EcsUrl) -> str:
    if isinstance(url, EcsUrl):
        return f"ECS cluster {url.cluster}"
    return f"Docker engine {engine_version(url)}" if url.kind == "docker" else "processes"


def _workers(tx: Tx) -> Finding:
    found = workers.alive(tx)
    if not found:
        return Finding(
            WARNING, "workers", "none is alive, so nothing starts: run `barbeque worker`, or `up`"
        )
    seen = max(worker.seen_at for worker in found)
    age = (tx.now - seen).total_seconds()
    return Finding(OK, "workers", f"{len(found)} alive, last seen {age:.0f} s ago")


def _places(tx: Tx) -> list[Finding]:
    return [
        Finding(
            FAULT,
            "place",
            f"{count} attempts have not ended at {place}, to which no live worker speaks: start a "
            f"worker there; if it is gone for good, `barbeque check --forget-place '{place}'`",
        )
        for place, count in abandoned(tx).items()
    ]


def _limits(tx: Tx) -> Finding:
    live = Counter(scope for scopes in attempts.live_scopes(tx) for scope in scopes)
    wrong = sorted(each.scope for each in limits.read_all(tx) if each.used != live[each.scope])
    if wrong:
        return Finding(
            WARNING,
            "limits",
            f"the counters of {', '.join(wrong[:5])} are off: workers mend that within the hour",
        )
    return Finding(OK, "limits", "every counter is right")


def _queues(tx: Tx) -> list[Finding]:
    if not apps.queue_names(tx):
        return [Finding(WARNING, "queues", "there are none: `barbeque apply -f FILE` makes them")]
    return [
        Finding(
            WARNING,
            "queue",
            f"{name} is paused since {clock.rfc3339(since)[:19]}Z: `barbeque resume {name}`",
        )
        for name, since in apps.paused_queues(tx).items()
    ]


def _server(settings: Settings) -> Finding:
    client = Client(settings.url, settings.token, retries=0)
    try:
        client.ready()
    except BarbequeError as error:
        return Finding(WARNING, "server", f"{error}: see `barbeque up`, or set BARBEQUE_URL")
    finally:
        client.close()
    return Finding(OK, "server", f"{settings.url} is ready")
