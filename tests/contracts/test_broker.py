"""What every broker promises: at least once, hidden while borrowed, gone when deleted."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol

import pytest

from barbeque_py import clock
from barbeque_py.broker import BATCH, Broker, Delivery, Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.ids import is_message_id
from barbeque_py.store import Store
from tests.contracts.sqs_rig import BOTH_WAYS, cloud_sqs, moto_endpoint, moto_sqs, rig_named
from tests.waiting import wait_until

__all__ = ["cloud_sqs", "moto_endpoint", "moto_sqs"]

QUEUE, OTHER = "default", "other"
NOW = timedelta(0)
SOON = timedelta(seconds=5)
VISIBILITY = timedelta(seconds=1)


class Site(Protocol):
    """Where the messages are; every broker opened there carries the same ones."""

    exact_receipts: bool
    """Whether a message that was received again is left alone by an older receipt."""

    def broker(self, *, visibility: timedelta = VISIBILITY) -> Broker:
        """Open a broker that hides a borrowed message so long."""
        ...


class DatabaseSite:
    exact_receipts = True

    def __init__(self, store: Store) -> None:
        self._store = store

    def broker(self, *, visibility: timedelta = VISIBILITY) -> Broker:
        return DatabaseBroker(self._store, visibility=visibility)


@pytest.fixture(
    params=[
        "sqlite_store",
        pytest.param("mariadb_store", marks=pytest.mark.mariadb),
        *BOTH_WAYS,
    ]
)
def site(request: pytest.FixtureRequest) -> Site:
    """Hand out each broker's home in turn."""
    if request.param not in BOTH_WAYS:
        return DatabaseSite(request.getfixturevalue(request.param))
    found = rig_named(request, request.param)
    for queue in (QUEUE, OTHER):
        found.queues().ensure_queue(queue)
    return found


@pytest.fixture
def broker(site: Site) -> Broker:
    return site.broker(visibility=VISIBILITY)


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


@pytest.mark.parametrize(
    "body",
    [
        " ",
        "\N{SNOWMAN}\N{BANANA}\ud7ff\ue000\ufffd\U00010000\U0010ffff\x7f\x85",
        "\t\r\n'\"\\%s&lt;<![CDATA[",
        "x" * 900_000,
    ],
    ids=["blank", "unicode", "quotes", "long"],
)
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


def test_deleting_twice_is_deleting_once(broker: Broker) -> None:
    send(broker, "one", "two")
    found = receive(broker)
    for _ in range(2):
        broker.delete([each for each in found if each.body == "one"])
    broker.extend([each for each in found if each.body == "one"], NOW)
    assert bodies(receive(broker, wait=SOON)) == {"two"}


def test_an_older_receipt_does_no_harm(broker: Broker, site: Site) -> None:
    send(broker, "one")
    (first,) = receive(broker)
    (second,) = receive(broker, wait=SOON)
    broker.extend([first], timedelta(seconds=3))
    if site.exact_receipts:
        assert len(receive(broker, wait=VISIBILITY * 2)) == 1
    third = receive(broker, wait=SOON)
    assert (third[0].broker_id, third[0].receives > 2) == (first.broker_id, True)
    broker.delete([first])
    fourth = receive(broker, wait=VISIBILITY * 2)
    assert len(fourth) == 1 or not site.exact_receipts
    broker.delete([second, *third, *fourth])
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
    assert clock.monotonic() - begun < 15


def test_nobody_else_has_what_is_borrowed_and_nothing_is_lost(site: Site) -> None:
    broker = site.broker(visibility=timedelta(minutes=5))
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
    assert set(found) == wanted
    if site.exact_receipts:  # a server of SQS may lend a message twice, and moto's threads do
        assert len(found) == len(wanted)
    assert receive(broker) == []


def test_a_message_survives_the_one_who_sent_it(broker: Broker, site: Site) -> None:
    send(broker, "one")
    wait_until(lambda: bodies(receive(site.broker())) == {"one"})


def test_a_parcel_of_an_app_with_a_strange_name_is_carried_as_well(broker: Broker) -> None:
    apps = ["", "a" * 200, "two words", "\N{BANANA}"]
    broker.send(QUEUE, [Parcel(f"m{number}", app) for number, app in enumerate(apps)])
    assert len(receive(broker)) == len(apps)
