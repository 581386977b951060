"""Queues rest for as long as somebody said, and then go on by themselves."""

from datetime import timedelta

import pytest

from barbeque_py.errors import UnknownQueue
from barbeque_py.identity import EVERYBODY
from barbeque_py.store import Store, apps, audit
from barbeque_py.suspend import CLOCK, Rest, end_pauses, pause, resume_queue
from tests.store.world import QUEUE, claim_some, define, enqueue, later

HOUR = timedelta(hours=1)


def told(store: Store) -> list[tuple[str, str]]:
    found = store.read(lambda tx: audit.newest(tx, audit.Wanted(), most=10))
    return [(each.action, each.actor) for each in found if each.action.startswith("queue.")]


def test_a_pause_that_has_an_end_ends_once_and_the_newest_end_counts(store: Store) -> None:
    define(store)
    store.write(lambda tx: pause(tx, EVERYBODY, QUEUE, Rest("the disk is full", HOUR)))
    later(store, minutes=59)
    assert store.write(end_pauses) == []
    store.write(lambda tx: pause(tx, EVERYBODY, QUEUE, Rest(lasts=HOUR)))
    found = store.read(lambda tx: apps.pause_of(tx, QUEUE))
    assert found is not None
    assert found.reason == "the disk is full"
    later(store, minutes=59)
    assert store.write(end_pauses) == []
    later(store, minutes=2)
    assert [store.write(end_pauses) for _ in "ab"] == [[QUEUE], []]
    assert store.read(lambda tx: apps.pause_of(tx, QUEUE)) is None
    enqueue(store)
    assert len(claim_some(store)) == 1
    by = EVERYBODY.name
    assert told(store) == [("queue.resume", CLOCK.name), ("queue.pause", by), ("queue.pause", by)]


def test_a_pause_without_an_end_lasts_until_it_is_resumed(store: Store) -> None:
    define(store)
    store.write(lambda tx: pause(tx, EVERYBODY, QUEUE, Rest(lasts=HOUR)))
    store.write(lambda tx: pause(tx, EVERYBODY, QUEUE, Rest()))
    later(store, days=400)
    assert store.write(end_pauses) == []
    store.write(lambda tx: resume_queue(tx, EVERYBODY, QUEUE))
    assert store.read(apps.paused_queues) == {}
    with pytest.raises(UnknownQueue):
        store.write(lambda tx: pause(tx, EVERYBODY, "nothing", Rest()))
