"""Ends are added up and failures sorted once each, whoever does it and whenever it is killed."""

import gzip
import os
import signal
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from barbeque_py.backoff import RetryPolicy
from barbeque_py.cancel import cancel
from barbeque_py.executions import State
from barbeque_py.ids import AttemptId, attempt_id, new_message_id
from barbeque_py.logs import attempt_prefix
from barbeque_py.logstore import LogStore
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.prune import prune
from barbeque_py.store import (
    Store,
    Tx,
    attempts,
    endings,
    failures,
    lists,
    rollups,
    tables,
    workers,
)
from barbeque_py.store.failures import Group, Standing
from barbeque_py.store.filters import Filter
from barbeque_py.store.rollups import ALL, Span, Sums, start_of
from barbeque_py.tally import FAILURES, count, look_at
from tests.store.world import (
    SUCCESS,
    a_body,
    claim_one,
    define,
    end,
    enqueue,
    later,
    mark_running,
    ripen,
    take_in,
)

NO_RETRY = RetryPolicy(limit=0)
ONE_RETRY = RetryPolicy(limit=1, base_delay=timedelta(seconds=1), jitter=False)


def sums(store: Store, app: str = ALL, job: str = ALL, span: Span = Span.HOUR) -> Sums:
    """Add up everything that is counted."""

    def read(tx: Tx) -> Sums:
        found = rollups.of_one(
            tx, app, job, span, tx.now - timedelta(days=400), tx.now + timedelta(days=2)
        )
        return rollups.total(found.values())

    return store.read(read)


def count_all(store: Store, *, most: int = 1000) -> int:
    counted = 0
    while lot := store.write(lambda tx: count(tx, most)):
        counted += lot
    return counted


def sort_all(store: Store, logs: LogStore) -> int:
    found = store.write(lambda tx: failures.put_off_unsealed(tx, FAILURES))
    return store.write(lambda tx: failures.sort(tx, look_at(logs, found)))


def groups(store: Store) -> Sequence[Group]:
    return store.read(failures.newest).rows


def run(store: Store, fate: Fate, *, lasting: float = 0, **options: Any) -> AttemptId:
    """Run one execution once, and let it end so."""
    message_id = enqueue(store, **options)
    later(store, seconds=2)
    attempt = claim_one(store, message_id)
    mark_running(store, attempt)
    later(store, seconds=lasting)
    end(store, attempt, fate)
    return attempt


def fail(store: Store, line: str | None, *, code: int = 1, **options: Any) -> AttemptId:
    attempt = run(store, Fate(Reason.EXITED, exit_code=code), **options)
    seal(store, attempt, line)
    return attempt


def seal(store: Store, attempt: AttemptId, line: str | None, *, lines: int = 1) -> None:
    facts = {"log_lines": lines, "log_error": line}
    store.write(lambda tx: attempts.record_seal(tx, attempt, facts))


def test_every_way_to_end_is_counted_with_its_times_and_its_price(store: Store) -> None:
    define(store, retry=ONE_RETRY)
    define(store, job="Mail")
    run(store, SUCCESS, lasting=8)
    failing = run(store, Fate(Reason.EXITED, exit_code=1), lasting=2)
    interrupted = run(store, Fate(Reason.INTERRUPTED))
    assert count_all(store) == 3
    later(store, seconds=30)
    assert ripen(store) == 2
    for attempt in (failing, interrupted):
        again = attempt_id(attempt[:36], 2)
        claim_one(store)
        mark_running(store, again)
        end(store, again, Fate(Reason.NEVER_STARTED, detail="no such image"))
    waiting = enqueue(store, job="Mail")
    store.write(lambda tx: cancel(tx, waiting))
    unseen = str(new_message_id())
    store.write(lambda tx: cancel(tx, unseen))
    take_in(store, a_body(job="Mail", message_id=unseen))
    assert count_all(store, most=2) == 4
    assert count_all(store) == 0
    for span in Span:
        encode = sums(store, "media", "Encode", span)
        assert (encode.succeeded, encode.not_started, encode.retried) == (1, 1, 2)
        assert (encode.failed, encode.cancelled, encode.interrupted) == (0, 0, 1)
        assert sums(store, "media", "Mail", span).cancelled == 2
        assert sums(store, "media", ALL, span) == sums(store, ALL, ALL, span)
        assert sums(store, span=span).ended == 4
    assert encode.success == 0.5
    _check_times(encode)


def _check_times(encode: Sums) -> None:
    assert encode.runs.quantile(1) is not None
    assert encode.runs.quantile(1).total_seconds() == pytest.approx(8, rel=0.1)  # type: ignore[union-attr]
    assert encode.waits.quantile(0.5).total_seconds() == pytest.approx(2, rel=0.4)  # type: ignore[union-attr]
    assert encode.cpu_seconds == pytest.approx(10 * 0.25, abs=0.1)
    assert encode.memory_seconds == pytest.approx(10 * 0.5, abs=0.1)


def _count_on(url: str, owner: str) -> None:
    """Count for ever, as a worker does whose duty has come."""
    with closing(Store(url)) as store:

        def mine(tx: Tx) -> None:
            lease = timedelta(milliseconds=20)
            if workers.take_duty(tx, "tally", owner, every=timedelta(0), lease=lease):
                count(tx, 20)

        while True:
            store.write(mine)
            time.sleep(0.02)


def test_two_that_count_and_are_killed_lose_nothing_and_count_nothing_twice(
    store: Store, database_url: str
) -> None:
    rows = 1_000

    def leave(tx: Tx) -> None:
        own = ("media", "Encode", State.SUCCEEDED)
        at = tx.now
        new = [endings.row(each, 0, *own, due_at=None, ended_at=at) for each in range(rows)]
        endings.add(tx, new)

    def left() -> int:
        query = select(func.count()).select_from(tables.history.endings)
        return int(store.read(lambda tx: tx.execute(query).scalar_one()))

    store.write(leave)
    until, kills = left(), 0
    while until > rows / 3:
        both = [
            get_context("fork").Process(target=_count_on, args=(database_url, f"worker-{each}"))
            for each in range(2)
        ]
        for each in both:
            each.start()
        while left() > until - 150:
            time.sleep(0.005)
        for each in both:
            assert each.pid is not None
            os.kill(each.pid, signal.SIGKILL)
            each.join()
            kills += 1
        until = left()
    assert kills >= 2
    assert sums(store).succeeded == rows - until
    count_all(store)
    assert sums(store).succeeded == rows
    assert sums(store, "media", "Encode", Span.DAY).succeeded == rows


def test_failures_that_say_the_same_are_one_group(store: Store, tmp_path: Path) -> None:
    logs = DirectoryLogStore(tmp_path)
    define(store, retry=NO_RETRY)
    define(store, job="Mail", retry=ONE_RETRY)
    fail(store, "2026-01-02 03:04:05 ERROR cannot open /tmp/a1/x.mp4 (17)", user_id="ann")
    fail(store, "2026-02-02 03:04:06 ERROR cannot open /tmp/b2/y.mp4 (18)", user_id="bob")
    last = fail(store, "2027-01-02 03:04:05 ERROR cannot open /srv/c3/z.mp4 (9)", user_id="ann")
    other = fail(store, "2026-01-02 03:04:05 ERROR out of credit")
    retried = fail(store, "ERROR cannot open /tmp/a1/x.mp4 (17)", job="Mail")
    silent = run(store, Fate(Reason.EXITED, exit_code=127))
    prefix = attempt_prefix("media", "Encode", silent[:36], 1)
    stored = b"2026-01-02T03:04:05.000000Z err sh: 1: ffmpg: not found\n"
    logs.put(f"{prefix}log.gz", [gzip.compress(stored)])
    run(store, SUCCESS)
    count_all(store)
    assert sort_all(store, logs) == 5, "the log of one is not sealed yet"
    assert sort_all(store, logs) == 0
    seal(store, silent, None)
    later(store, seconds=6)
    assert sort_all(store, logs) == 1
    found = {each.sample: each for each in groups(store)}
    assert set(found) == {last, other, retried, silent}
    assert found[silent].line == "sh: 1: ffmpg: not found"
    assert store.read(lambda tx: lists.count(tx, Filter(failure=found[retried].id), most=9)) == 1
    _check_group(store, found[last])


def _check_group(store: Store, same: Group) -> None:
    assert (same.times, same.users, same.state) == (3, 2, Standing.NEW)
    assert same.line.endswith("cannot open /tmp/a1/x.mp4 (17)")
    assert same.first_at < same.last_at
    members = store.read(lambda tx: lists.newest(tx, Filter(failure=same.id, state=State.FAILED)))
    assert len(members.rows) == 3
    hours = store.read(
        lambda tx: failures.hours_of(tx, [same.id], start_of(Span.HOUR, tx.now) - timedelta(days=1))
    )
    assert sum(hours[same.id].values()) == 3
    number = members.rows[0].id
    assert [each.id for each in store.read(lambda tx: failures.of_execution(tx, number))] == [
        same.id
    ]


def test_a_resolved_failure_that_comes_again_has_regressed_and_an_old_one_goes(
    store: Store, tmp_path: Path
) -> None:
    logs = DirectoryLogStore(tmp_path)
    define(store, retry=NO_RETRY)
    for state, then in (
        (Standing.RESOLVED, Standing.REGRESSED),
        (Standing.ACKNOWLEDGED, Standing.ACKNOWLEDGED),
    ):
        fail(store, "Error: disk full")
        count_all(store)
        sort_all(store, logs)
        (group,) = groups(store)
        store.write(lambda tx, group=group, state=state: failures.judge(tx, group.id, state, "ann"))  # type: ignore[misc]
        later(store, minutes=1)
        fail(store, "Error: disk full")
        count_all(store)
        sort_all(store, logs)
        (group,) = groups(store)
        assert (group.state, group.owner) == (then, "ann")
    assert group.times == 4
    later(store, days=100)
    prune(store, logs, timedelta(days=90))
    prune(store, logs, timedelta(days=90))
    assert groups(store) == []
    assert sums(store).ended == 0
    assert sums(store, span=Span.DAY).failed == 4, "days are kept twice as long"
    tables_left = (
        tables.history.failure_members,
        tables.history.failure_users,
        tables.history.failure_hours,
    )
    for table in tables_left:
        query = select(func.count()).select_from(table)
        assert store.read(lambda tx, query=query: tx.execute(query).scalar_one()) == 0  # type: ignore[misc]


def test_what_ended_before_the_migration_is_counted_once_and_not_sorted(store: Store) -> None:
    define(store, retry=ONE_RETRY)
    run(store, SUCCESS)
    failing = run(store, Fate(Reason.EXITED, exit_code=1))
    waiting = enqueue(store)
    store.write(lambda tx: cancel(tx, waiting))
    claim_one(store, enqueue(store))
    migration: Any = import_module("barbeque_py.store.migrations.versions.0034_numbers")

    def as_before(tx: Tx) -> None:
        tx.execute(text("DELETE FROM endings"))
        for statement in (migration.PAST_ATTEMPTS, migration.PAST_CANCELS):
            tx.execute(text(statement))

    store.write(as_before)
    assert count_all(store) == 3
    found = sums(store)
    assert (found.succeeded, found.retried, found.cancelled, found.failed) == (1, 1, 1, 0)
    assert found.runs.total() == 2
    assert not store.read(failures.unsorted_left), failing
