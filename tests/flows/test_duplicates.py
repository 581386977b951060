"""Every message is delivered one to five times, at once and to all comers: one execution each."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from barbeque_py.broker import Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.intake import Intake
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.store import Store, dead, lanes
from tests.store.world import QUEUE, a_body, define, everything
from tests.stores import opened

MESSAGES = 60


@pytest.fixture
def stores(store: Store) -> Iterator[list[Store]]:
    """Hand out two stores on one database, as two processes have them."""
    url = store.url.render_as_string(hide_password=False)
    with opened(url) as second:
        yield [store, second]


def take_all(store: Store, folder: Path) -> None:
    """Take in until the queue offers nothing."""
    intake = Intake(store, DatabaseBroker(store), DirectoryLogStore(folder))
    while intake.take(QUEUE, wait=timedelta(0)):
        pass


def test_messages_sent_up_to_five_times_are_one_execution_each(
    stores: list[Store], tmp_path: Path
) -> None:
    chance = random.Random(4)
    define(stores[0])
    bodies = [a_body(message=f'"{"x" * chance.choice([1, 20_000])}"') for _ in range(MESSAGES)]
    sent = [body for body in bodies for _ in range(chance.randint(1, 5))]
    chance.shuffle(sent)
    for body in sent:
        DatabaseBroker(stores[0]).send(QUEUE, [Parcel(body, "media")])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take_all, stores * 4, [tmp_path] * 8))
    take_all(stores[0], tmp_path)
    assert_one_execution_each(stores[0], MESSAGES)


def test_messages_borrowed_up_to_five_times_are_one_execution_each(
    stores: list[Store], tmp_path: Path
) -> None:
    define(stores[0])
    sender = DatabaseBroker(stores[0])
    for _ in range(MESSAGES // 10):
        sender.send(QUEUE, [Parcel(a_body(), "media") for _ in range(10)])

    def work(number: int) -> None:
        store, chance = stores[number % 2], random.Random(number)
        impatient = DatabaseBroker(store, visibility=timedelta(0))
        intake = Intake(store, impatient, DirectoryLogStore(tmp_path))
        for _ in range(100):
            if not (borrowed := impatient.receive(QUEUE, wait=timedelta(0))):
                return
            for _ in range(chance.randint(1, 5)):
                intake.record(chance.sample(borrowed, len(borrowed)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    take_all(stores[0], tmp_path)
    assert_one_execution_each(stores[0], MESSAGES)


def assert_one_execution_each(store: Store, count: int) -> None:
    """Nothing is lost, nothing doubled, nothing dead, nothing left on the queue."""
    found = everything(store)
    assert len(found) == len({each.message_id for each in found}) == count
    assert [each.note for each in found] == [None] * count
    assert store.read(dead.newest) == []
    assert store.read(lambda tx: lanes.depth(tx, QUEUE)) == 0
