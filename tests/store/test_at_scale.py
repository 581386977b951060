"""Ten million executions: lists, counts and numbers at their price, beside Barbeque's own queries.

BARBEQUE_SCALE asks for another size; what is expected of the ratios goes down with it.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from barbeque_py.executions import State
from barbeque_py.store import Store, Tx, lists, rollups
from barbeque_py.store.filters import Filter
from barbeque_py.store.rollups import Span, start_of
from tests.asking import open_client
from tests.console.rigs import place_on, serve_console
from tests.store.barbeque_database import BarbequeDatabase, barbeque_database
from tests.stores import MariaDb, migrated

SIZE = int(os.environ.get("BARBEQUE_SCALE", "10000000"))  # noqa: TID251 - a measurement's own
LOT = 500_000
DAYS = 90
TIMES = 200
HOT = ("app0", "job0")

_ID = "substr('000000000' || i, -8) || '-0000-7000-8000-000000000000'"
_NUMBERS = """
WITH RECURSIVE numbers (i) AS
    (SELECT :first UNION ALL SELECT i + 1 FROM numbers WHERE i < :last)
"""
_EXECUTIONS = f"""
INSERT INTO executions (id, message_id, app, job, queue, message, options, priority_rank, state,
    stage, due_at, round, counted, counted_before, uncounted, attempts, could_not_start, tombstone,
    sent_at, recorded_at, started_at, finished_at)
{{numbers}} SELECT i, {_ID}, CASE i % 6 WHEN 0 THEN 'app0' ELSE 'app' || (i % 20) END,
    CASE i % 6 WHEN 0 THEN 'job0' ELSE 'job' || (i / 20 % 10) END, 'default', '{{{{}}}}',
    '{{{{}}}}', 0,
    CASE WHEN i % 50 = 0 THEN 'failed' WHEN i % 100 = 1 THEN 'cancelled' ELSE 'succeeded' END,
    'done', {{at}}, 1, 1, 1, 0, 1, 0, 0, {{at}}, {{at}}, {{at}}, {{at}}
FROM numbers
"""
_ROLLUPS = """
INSERT INTO rollups (name, span, at, succeeded, failed, not_started, cancelled, retried,
    interrupted, waits, runs, cpu_seconds, memory_seconds)
{numbers} SELECT '{span}/app' || (i % 20) || '/job' || (i / 20 % 10) || '/' || {hour}, '{span}',
    {at},
    100, 2, 0, 1, 3, 0, '{{"30":20,"31":30,"35":40,"40":10}}',
    '{{"44":10,"48":20,"49":30,"52":20,"55":20,"60":6}}', 1, 1
FROM numbers
"""
_BARBEQUE = """
INSERT INTO barbeque_job_executions (id, message_id, status, created_at, updated_at,
    job_definition_id, finished_at, job_queue_id)
{numbers} SELECT i, {id}, CASE WHEN i % 50 = 0 THEN 2 ELSE 1 END, {at}, {at},
    CASE i % 6 WHEN 0 THEN 1 ELSE 2 + i % 199 END, {at}, 1
FROM numbers
"""
_SQLITE_AT = (
    "strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-' || (({last} - i) * {step}) || ' seconds')"
)
_MARIADB_AT = "UTC_TIMESTAMP() - INTERVAL (({last} - i) * {step}) SECOND"
_THEIRS = {
    "list of the hot job": (
        "SELECT COUNT(*) FROM barbeque_job_executions WHERE job_definition_id = 1",
        """SELECT * FROM barbeque_job_executions WHERE job_definition_id = 1
        ORDER BY id DESC LIMIT 15 OFFSET 0""",
    ),
    "status of the hot job": (
        "SELECT COUNT(*) FROM barbeque_job_executions WHERE job_definition_id = 1 AND status = 2",
        """SELECT * FROM barbeque_job_executions WHERE job_definition_id = 1 AND status = 2
        ORDER BY id DESC LIMIT 15 OFFSET 0""",
    ),
    "stats of the hot job": (
        """SELECT COUNT(*), AVG(TIMESTAMPDIFF(SECOND, created_at, finished_at)),
        DATE_FORMAT(created_at, '%Y-%m-%d %H:00:00') AS date_hour FROM barbeque_job_executions
        WHERE job_definition_id = 1 AND created_at > UTC_TIMESTAMP() - INTERVAL 30 DAY
        GROUP BY date_hour ORDER BY date_hour""",
    ),
}


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
def huge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('huge') / 'b.db'}"
        with closing(Store(migrated(url))) as store:
            _fill(store)
            yield store
        return
    server: MariaDb = request.getfixturevalue("mariadb")
    server.execute("SET GLOBAL innodb_buffer_pool_size = 2147483648")
    server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    with server.database() as url, closing(Store(migrated(url))) as store:
        _fill(store)
        yield store


def _fill(store: Store) -> None:
    began = time.monotonic()
    step = DAYS * 86_400 / SIZE
    for first in range(1, SIZE + 1, LOT):
        last = min(first + LOT - 1, SIZE)
        store.write(lambda tx, a=first, b=last: _run(tx, _EXECUTIONS, a, b, SIZE, step))  # type: ignore[misc]
    for span, rows in (("hour", DAYS * 24 * 200), ("day", DAYS * 200)):
        _fill_rollups(store, span, rows)
    if not store.sqlite:
        store.write(lambda tx: tx.execute(text("ANALYZE TABLE executions, rollups")))
    told(f"{store.url.drivername}: filled with {SIZE:,}", time.monotonic() - began, "s")


def _fill_rollups(store: Store, span: str, rows: int) -> None:
    statement, step = _ROLLUPS.replace("{span}", span), DAYS * 86_400 / rows
    for first in range(1, rows + 1, LOT):
        last = min(first + LOT - 1, rows)
        store.write(lambda tx, a=first, b=last: _run(tx, statement, a, b, rows, step))  # type: ignore[misc]


def _run(tx: Tx, statement: str, first: int, last: int, end: int, step: float) -> None:
    at = (_SQLITE_AT if tx.sqlite else _MARIADB_AT).format(last=end, step=f"{step:.6f}")
    hour = f"strftime('%Y-%m-%dT%H', {at})" if tx.sqlite else f"DATE_FORMAT({at}, '%Y-%m-%dT%H')"
    if not tx.sqlite:
        tx.execute(text("SET sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')"))
        tx.execute(text("SET max_recursive_iterations = 1000000"))
    filled = statement.format(numbers=_NUMBERS, at=at, hour=hour, id=_ID)
    filled = filled.replace(":first", str(first)).replace(":last", str(last))
    if "'day'" in filled:
        filled = filled.replace("T%H')", "T00')")
    if "rollups" in filled:  # the edges of hours meet
        ignoring = "INSERT OR IGNORE" if tx.sqlite else "INSERT IGNORE"
        filled = filled.replace("INSERT", ignoring, 1)
    if not tx.sqlite:
        filled = filled.replace(" / ", " DIV ")
    tx._connection.exec_driver_sql(filled.replace("%", "%%") if not tx.sqlite else filled)
    if not tx.sqlite:
        tx.execute(text("SET sql_mode = DEFAULT"))


def told(what: str, figure: float, unit: str = "ms") -> None:
    print(f"  {what:60} {figure:10.2f} {unit}", flush=True)


def p95(what: str, work: Callable[[], Any], times: int = TIMES) -> float:
    """Return the milliseconds that 95 of 100 calls do not exceed, and tell them with the middle."""
    work()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    told(f"{what}: p50", statistics.median(took))
    told(f"{what}: p95", statistics.quantiles(took, n=20)[-1])
    return statistics.quantiles(took, n=20)[-1]


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_lists_counts_and_numbers_cost_the_same_at_any_size(huge: Store, tmp_path: Path) -> None:
    deep = max(SIZE - 50 * 50_000, SIZE // 10)
    hot = Filter(app=HOT[0], job=HOT[1])
    ours: dict[str, Callable[[Tx], Any]] = {
        "list, page 1": lambda tx: lists.newest(tx, Filter()),
        "list, page 50,001": lambda tx: lists.newest(tx, Filter(), before=deep),
        "list of what failed": lambda tx: lists.newest(tx, Filter(state=State.FAILED)),
        "list of the hot job": lambda tx: lists.newest(tx, hot),
        "list of the hot job, deep": lambda tx: lists.newest(tx, hot, before=deep),
        "status of the hot job": lambda tx: lists.newest(
            tx, Filter(app=HOT[0], job=HOT[1], state=State.FAILED)
        ),
        "list of a queue": lambda tx: lists.newest(tx, Filter(queue="default"), before=deep),
        "count, capped": lambda tx: lists.count(tx, hot, most=10_000),
        "stats of the hot job": lambda tx: _stats(tx, *HOT),
    }
    most = dict.fromkeys(ours, 10.0) | {"count, capped": 15.0, "stats of the hot job": 50.0}
    kind = huge.url.drivername
    found = {
        name: p95(f"{kind}: {name}", lambda work=work: huge.read(work))  # type: ignore[misc]
        for name, work in ours.items()
    }
    pages = ("/executions", f"/executions?before={deep}", "/executions?state=failed", "/")
    with (
        place_on(huge, tmp_path) as place,
        serve_console(place) as address,
        open_client(address) as browser,
    ):
        served = {path: _serve(browser, kind, path) for path in pages}
    assert {name: figure for name, figure in found.items() if figure > most[name]} == {}
    assert {path: figure for path, figure in served.items() if figure > 50} == {}
    assert found["list, page 50,001"] <= 1.5 * found["list, page 1"] + 0.5


def _serve(browser: httpx.Client, kind: str, path: str) -> float:
    assert browser.get(path).status_code == 200
    return p95(f"{kind}: {path}", lambda: browser.get(path), 50)


def _stats(tx: Tx, app: str, job: str) -> object:
    until = start_of(Span.DAY, tx.now) + timedelta(days=1)
    days = rollups.of_one(tx, app, job, Span.DAY, until - timedelta(days=30), until)
    assert len(days) > 25
    return [each.runs.quantile(0.95) for each in days.values()], rollups.total(days.values())


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.mariadb
def test_barbeques_own_queries_take_a_hundred_times_as_long(huge: Store, mariadb: MariaDb) -> None:
    if huge.sqlite:
        return  # Barbeque knows MySQL alone
    ours: dict[str, Callable[[Tx], Any]] = {
        "list of the hot job": lambda tx: lists.newest(tx, Filter(app=HOT[0], job=HOT[1])),
        "status of the hot job": lambda tx: lists.newest(
            tx, Filter(app=HOT[0], job=HOT[1], state=State.FAILED)
        ),
        "stats of the hot job": lambda tx: _stats(tx, *HOT),
    }
    with barbeque_database(mariadb) as theirs:
        _fill_theirs(huge, theirs)
        ratios = {}
        for name, queries in _THEIRS.items():
            pairs = [_pair(huge, theirs, queries, ours[name]) for _ in range(5)]
            ratios[name] = statistics.median(bare / own for bare, own in pairs)
            told(f"Barbeque: {name}", statistics.median(bare for bare, _ in pairs))
            told(f"ours: {name}", statistics.median(own for _, own in pairs))
            told(f"ratio: {name}", ratios[name], "x")
    least = 100 * SIZE / 10_000_000
    assert {name: each for name, each in ratios.items() if each < least} == {}


def _pair(
    huge: Store, theirs: BarbequeDatabase, queries: Sequence[str], own: Callable[[Tx], Any]
) -> tuple[float, float]:
    return _took(lambda: [theirs.ask(each) for each in queries]), _took(lambda: huge.read(own))


def _took(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _fill_theirs(huge: Store, theirs: BarbequeDatabase) -> None:
    step = DAYS * 86_400 / SIZE
    with closing(Store(theirs.url)) as store:
        for first in range(1, SIZE + 1, LOT):
            last = min(first + LOT - 1, SIZE)
            store.write(lambda tx, a=first, b=last: _run(tx, _BARBEQUE, a, b, SIZE, step))  # type: ignore[misc]
