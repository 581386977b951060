"""What every broker promises: at least once, hidden while borrowed, gone when deleted."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from barbeque_py import clock
from barbeque_py.broker import BATCH, Broker, Delivery, Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.ids import is_message_id
from barbeque_py.store import Store
from tests.waiting import wait_until

QUEUE, OTHER = "default", "other"
NOW = timedelta(0)
SOON = timedelta(seconds=5)
VISIBILITY = timedelta(seconds=1)


@pytest.fixture
def broker(store: Store) -> Broker:
    """Hand out each broker in turn; a borrowed message is hidden for `VISIBILITY`."""
    return DatabaseBroker(store, visibility=VISIBILITY)


def send(broker: Broker, *bodies: str, delay: timedelta = NOW) -> None:
    broker.send(QUEUE, [Parcel(body, "media", delay) for body in bodies])


def receive(broker: Broker, wait: timedelta = NOW) -> list[Delivery]:
    return broker.receive(QUEUE, wait=wait)


def bodies(deliveries: list[Delivery]) -> set[str]:
    return {each.body for each in deliveries}


def test_what_is_sent_is_received(broker: Broker) -> None:
    before = clock.now()
    send(broker, "one", "two")
    found = receive(broker)
    assert bodies(found) == {"one", "two"}
    for each in found:
        assert (each.queue, each.receives) == (QUEUE, 1)
        assert is_message_id(each.broker_id)
        assert abs(each.sent_at - before) < timedelta(seconds=30)


@pytest.mark.parametrize("body", ["", "\N{SNOWMAN}\N{BANANA}", "\x00\t\r\n'\"\\%s", "x" * 900_000])
def test_a_body_is_received_as_it_was_sent(broker: Broker, body: str) -> None:
    send(broker, body)
    assert [each.body for each in receive(broker)] == [body]


def test_a_borrowed_message_is_hidden_and_then_received_again(broker: Broker) -> None:
    send(broker, "one")
    (first,) = receive(broker)
    assert receive(broker) == []
    (second,) = receive(broker, wait=SOON)
    assert (second.broker_id, second.receives) == (first.broker_id, 2)
    assert second.receipt != first.receipt


def test_a_deleted_message_is_gone(broker: Broker) -> None:
    send(broker, "one", "two")
    found = receive(broker)
    broker.delete([each for each in found if each.body == "one"])
    assert bodies(receive(broker, wait=SOON)) == {"two"}


def test_deleting_twice_or_what_others_received_since_is_a_no_op(broker: Broker) -> None:
    send(broker, "one")
    (first,) = receive(broker)
    (second,) = receive(broker, wait=SOON)
    broker.delete([first])
    broker.extend([first], timedelta(hours=1))
    (third,) = receive(broker, wait=SOON)
    broker.delete([second, third])
    broker.delete([third])
    assert third.receives == 3
    assert receive(broker, wait=VISIBILITY * 1.5) == []


def test_extending_hides_for_longer_and_zero_gives_back_at_once(broker: Broker) -> None:
    send(broker, "one")
    found = receive(broker)
    broker.extend(found, timedelta(seconds=3))
    assert receive(broker, wait=VISIBILITY * 1.5) == []
    broker.extend(found, NOW)
    assert bodies(receive(broker)) == {"one"}


def test_a_delayed_message_is_received_when_its_time_has_come(broker: Broker) -> None:
    begun = clock.monotonic()
    send(broker, "later", delay=timedelta(seconds=1))
    send(broker, "now")
    assert bodies(receive(broker)) == {"now"}
    assert bodies(receive(broker, wait=SOON)) >= {"later"}
    assert clock.monotonic() - begun >= 0.9


def test_a_receive_is_at_most_a_batch(broker: Broker) -> None:
    for _ in range(3):
        send(broker, *[f"m{number}" for number in range(BATCH)])
    assert len(receive(broker)) == BATCH
    assert len(broker.receive(QUEUE, limit=3, wait=NOW)) == 3


def test_a_queue_has_its_own_messages_only(broker: Broker) -> None:
    send(broker, "one")
    assert broker.receive(OTHER, wait=NOW) == []
    assert bodies(receive(broker)) == {"one"}


def test_receiving_waits_for_the_first_message_and_no_longer(broker: Broker) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(receive, broker, timedelta(seconds=20))
        begun = clock.monotonic()
        send(broker, "one")
        assert bodies(waiting.result()) == {"one"}
    assert clock.monotonic() - begun < 5


def test_nobody_else_has_what_is_borrowed_and_nothing_is_lost(store: Store) -> None:
    broker: Broker = DatabaseBroker(store, visibility=timedelta(minutes=5))
    wanted = {f"m{number}" for number in range(100)}
    for first in range(0, 100, BATCH):
        send(broker, *[f"m{number}" for number in range(first, first + BATCH)])
    found: list[str] = []

    def work(_: int) -> None:
        while len(found) < len(wanted):
            borrowed = receive(broker)
            found.extend(each.body for each in borrowed)
            broker.delete(borrowed)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert sorted(found) == sorted(wanted)
    assert receive(broker) == []


def test_a_message_survives_the_one_who_sent_it(broker: Broker, store: Store) -> None:
    send(broker, "one")
    wait_until(lambda: bodies(receive(DatabaseBroker(store))) == {"one"})
