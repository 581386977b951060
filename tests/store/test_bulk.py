"""Many at once: each execution changed once, whoever goes on after whatever end."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from barbeque_py.bulk import Action, step, subject_to
from barbeque_py.errors import LogStoreUnavailable
from barbeque_py.executions import State
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.store import Store, attempts, bulk_changes, lists
from barbeque_py.store.bulk_changes import BulkChange
from barbeque_py.store.filters import Filter
from tests.store.world import (
    SUCCESS,
    attempts_of,
    claim_one,
    define,
    end,
    enqueue,
    everything,
    find,
    mark_running,
)

ALL = Filter(app="media")


@pytest.fixture
def logs(tmp_path: Path) -> DirectoryLogStore:
    return DirectoryLogStore(tmp_path / "logs")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barbeque_py.bulk._BATCH", 2)


def begin(store: Store, action: Action, **more: str) -> int:
    wanted = {"filter": {"app": "media"}} | more
    return store.write(
        lambda tx: bulk_changes.add(
            tx, action, wanted, app=None, asked_by="me", found=lists.count(tx, ALL, most=100)
        )
    )


def finish(store: Store, logs: DirectoryLogStore, number: int) -> BulkChange:
    change = step(store, logs, number, ALL)
    while change.top is not None:
        change = step(store, logs, number, ALL)
    return change


def test_open_ones_are_cancelled_and_later_ones_are_not_touched(
    store: Store, logs: DirectoryLogStore
) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(5)]
    mark_running(store, claim_one(store, ids[0]))
    end(store, claim_one(store, ids[1]), SUCCESS)
    number = begin(store, Action.CANCEL)
    later = enqueue(store)
    done = finish(store, logs, number)
    assert (done.changed, done.left_alone, done.finished_at is not None) == (4, 0, True)
    states = [find(store, each).state for each in ids]
    assert states == [State.RUNNING, State.SUCCEEDED, *[State.CANCELLED] * 3]
    assert find(store, ids[0]).cancel_requested_at is not None
    assert find(store, later).state is State.QUEUED
    assert step(store, logs, number, ALL) == done


def test_two_who_go_on_at_once_change_each_once(store: Store, logs: DirectoryLogStore) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(4)]
    for each in ids:
        end(store, claim_one(store, each), SUCCESS)
    number = begin(store, Action.RETRY, image="current")
    first = step(store, logs, number, ALL)
    assert (first.changed, first.top is None) == (2, False)
    finish(store, logs, number)
    assert [find(store, each).round for each in ids] == [2] * 4
    assert [each.image_from for each in everything(store)] == [2] * 4


def test_ended_ones_are_deleted_with_their_logs_once_those_are_sealed(
    store: Store, logs: DirectoryLogStore
) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(3)]
    for each in ids[:2]:
        attempt = claim_one(store, each)
        end(store, attempt, SUCCESS)
        logs.put(f"media/Encode/{each}/1/log.gz", [b"line"])
        logs.put(f"media/Encode/{each}/message.json", [b"{}"])
    sealed = attempts_of(store, ids[0])[0].id
    store.write(lambda tx: attempts.record_seal(tx, sealed, {}))
    done = finish(store, logs, begin(store, Action.DELETE))
    assert (done.changed, done.left_alone) == (1, 1)
    assert [each.message_id for each in everything(store)] == ids[1:]
    assert logs.names(f"media/Encode/{ids[0]}/") == []
    assert len(logs.names(f"media/Encode/{ids[1]}/")) == 2


class Away(DirectoryLogStore):
    """A log store that goes away while something is deleted from it."""

    left = 1

    def remove(self, keys: Iterable[str]) -> None:
        if not self.left:
            raise LogStoreUnavailable("the disk is gone")
        self.left -= 1
        super().remove(keys)


def test_it_goes_on_after_an_end_in_the_middle_of_a_batch(store: Store, tmp_path: Path) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(3)]
    logs = Away(tmp_path / "logs")
    for each in ids:
        attempt = claim_one(store, each)
        end(store, attempt, SUCCESS)
        logs.put(f"media/Encode/{each}/1/log.gz", [b"line"])
        store.write(lambda tx, seal=attempt: attempts.record_seal(tx, seal, {}))  # type: ignore[misc]
    number = begin(store, Action.DELETE)
    with pytest.raises(LogStoreUnavailable):
        step(store, logs, number, ALL)
    change = store.read(lambda tx: bulk_changes.get(tx, number))
    assert change is not None
    assert (change.changed, change.left_alone, len(everything(store))) == (0, 0, 3)
    logs.left = 10
    done = finish(store, logs, number)
    assert (done.changed, done.left_alone, everything(store)) == (3, 0, [])
    assert logs.names("media/") == []


def test_an_action_is_subject_to_the_states_it_can_change(store: Store) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(3)]
    end(store, claim_one(store, ids[0]), SUCCESS)

    def count(action: Action, wanted: Filter) -> int:
        return store.read(lambda tx: lists.count(tx, subject_to(action, wanted), most=100))

    assert count(Action.CANCEL, ALL) == 2
    assert count(Action.RETRY, ALL) == 1
    assert count(Action.DELETE, Filter(prefix=ids[0])) == 1
    assert count(Action.CANCEL, Filter(prefix=ids[0])) == 0
    assert count(Action.CANCEL, Filter(status="success")) == 0
    assert count(Action.DELETE, Filter(app="media", state=State.QUEUED)) == 0
