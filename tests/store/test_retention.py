"""What is past its time goes, with all that hangs on it; everything younger stays."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from barbeque_py.cancel import cancel
from barbeque_py.ids import new_message_id
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.prune import REMEMBERED, prune
from barbeque_py.report import report
from barbeque_py.reports import Report
from barbeque_py.retry import retry
from barbeque_py.store import Store, Tx, retention, tables
from tests.store.world import (
    FAILURE,
    SUCCESS,
    a_body,
    attempts_of,
    claim_one,
    define,
    end,
    enqueue,
    everything,
    find,
    later,
    take_in,
)

KEEP = timedelta(days=90)


@pytest.fixture
def logs(tmp_path: Path) -> DirectoryLogStore:
    return DirectoryLogStore(tmp_path / "logs")


def rows_left(store: Store) -> dict[str, int]:
    def count(tx: Tx) -> dict[str, int]:
        names = ("executions", "attempts", "retries", "reports", "outbox", "dead_messages")
        found = {}
        for name in names:
            query = select(func.count()).select_from(tables.metadata.tables[name])
            found[name] = tx.execute(query).scalar_one()
        return found

    return store.read(count)


def finished(store: Store, logs: DirectoryLogStore) -> str:
    """Run an execution twice, by a retry, and keep its logs."""
    message_id = enqueue(store)
    end(store, claim_one(store, message_id), SUCCESS)
    store.write(lambda tx: retry(tx, message_id, retry_id=str(new_message_id())))
    attempt = claim_one(store, message_id)
    store.write(lambda tx: report(tx, {attempt: Report(result="1")}))
    end(store, attempt, SUCCESS)
    for number in (1, 2):
        logs.put(f"media/Encode/{message_id}/{number}/log.gz", [b"line"])
    logs.put(f"media/Encode/{message_id}/message.json", [b"{}"])
    return message_id


def test_an_old_execution_goes_with_everything_and_a_younger_one_stays(
    store: Store, logs: DirectoryLogStore
) -> None:
    define(store)
    old = finished(store, logs)
    later(store, days=60)
    young = finished(store, logs)
    later(store, days=31)
    assert prune(store, logs, KEEP) == 1
    assert [each.message_id for each in everything(store)] == [young]
    assert rows_left(store) | {"outbox": 0} == {
        "executions": 1,
        "attempts": 2,
        "retries": 1,
        "reports": 1,
        "outbox": 0,
        "dead_messages": 0,
    }
    assert len(attempts_of(store, young)) == 2
    assert logs.names(f"media/Encode/{old}/") == []
    assert len(logs.names(f"media/Encode/{young}/")) == 3
    assert prune(store, logs, KEEP) == 0


def test_what_has_not_ended_is_never_old(store: Store, logs: DirectoryLogStore) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(3)]
    claim_one(store, ids[0])
    end(store, claim_one(store, ids[1]), FAILURE)
    later(store, days=1000)
    assert prune(store, logs, KEEP) == 0
    assert len(everything(store)) == 3


def test_a_cancelled_message_that_never_came_goes_too(
    store: Store, logs: DirectoryLogStore
) -> None:
    define(store)
    old = finished(store, logs)
    store.write(lambda tx: cancel(tx, str(new_message_id())))
    store.write(lambda tx: cancel(tx, str(new_message_id()), app="media"))
    later(store, days=91)
    assert prune(store, logs, KEEP) == 3
    assert everything(store) == []
    assert logs.names(f"media/Encode/{old}/") == []


def test_one_that_was_retried_meanwhile_keeps_its_attempts(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), Fate(Reason.VANISHED))
    store.write(lambda tx: cancel(tx, message_id))
    later(store, days=91)
    old = store.read(lambda tx: retention.ended_before(tx, tx.now - KEEP, 10))
    retry_id = str(new_message_id())
    store.write(lambda tx: retry(tx, message_id, retry_id=retry_id))
    store.write(lambda tx: retention.forget(tx, [each.id for each in old]))
    assert len(attempts_of(store, message_id)) == 1
    assert find(store, retry_id).message_id == message_id


def test_a_batch_is_bounded_and_the_oldest_go_first(store: Store) -> None:
    define(store)
    ids = []
    for _ in range(3):
        ids.append(enqueue(store))
        end(store, claim_one(store), SUCCESS)
        later(store, hours=1)
    later(store, days=91)
    old = store.read(lambda tx: retention.ended_before(tx, tx.now - KEEP, 2))
    assert [each.message_id for each in old] == ids[:2]


def test_an_id_is_known_for_at_least_45_days(store: Store, logs: DirectoryLogStore) -> None:
    define(store)
    take_in(store, "nonsense")
    body = a_body()
    take_in(store, body)
    end(store, claim_one(store), SUCCESS)
    later(store, days=44)
    prune(store, logs, REMEMBERED)
    take_in(store, body)
    assert [each.attempts for each in everything(store)] == [1]
    assert rows_left(store)["dead_messages"] == 1
    later(store, days=2)
    prune(store, logs, REMEMBERED)
    assert rows_left(store)["dead_messages"] == 0
    assert everything(store) == []
