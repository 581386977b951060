"""One worker registers each content, and all others learn its ARN."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from barbeque_py.store import Store, task_definitions
from barbeque_py.store.task_definitions import Registration

CONTENT, ARN = "c" * 64, "arn:aws:ecs:eu-west-1:123456789012:task-definition/media:1"
LEASE = timedelta(seconds=30)


def claim(store: Store, owner: str, *, lease: timedelta = LEASE) -> Registration:
    return store.write(
        lambda tx: task_definitions.claim(
            tx, CONTENT, place="ecs:1:eu", family="media", owner=owner, lease=lease
        )
    )


def test_the_first_who_asks_registers_and_the_others_wait(store: Store) -> None:
    assert store.read(lambda tx: task_definitions.find(tx, CONTENT)) is None
    assert claim(store, "a") == Registration(None, ours=True)
    assert claim(store, "b") == Registration(None, ours=False)
    assert claim(store, "a") == Registration(None, ours=False)
    assert store.write(lambda tx: task_definitions.record(tx, CONTENT, ARN)) == ARN
    assert claim(store, "b") == Registration(ARN)
    assert store.read(lambda tx: task_definitions.find(tx, CONTENT)) == ARN


def test_a_registration_that_was_not_finished_passes_on(store: Store) -> None:
    assert claim(store, "a", lease=timedelta(0)).ours
    assert claim(store, "b").ours
    store.write(lambda tx: task_definitions.put_off(tx, CONTENT, "a", timedelta(0)))
    assert not claim(store, "c").ours  # it was not a's any more to give back
    store.write(lambda tx: task_definitions.put_off(tx, CONTENT, "b", timedelta(0)))
    assert claim(store, "c").ours


def test_of_two_registrations_the_first_holds(store: Store) -> None:
    claim(store, "a")
    store.write(lambda tx: task_definitions.record(tx, CONTENT, ARN))
    again = store.write(lambda tx: task_definitions.record(tx, CONTENT, f"{ARN}0"))
    assert again == ARN


def test_an_arn_is_forgotten_once(store: Store) -> None:
    claim(store, "a")
    store.write(lambda tx: task_definitions.record(tx, CONTENT, ARN))
    assert not store.write(lambda tx: task_definitions.forget(tx, CONTENT, f"{ARN}0"))
    assert store.write(lambda tx: task_definitions.forget(tx, CONTENT, ARN))
    assert not store.write(lambda tx: task_definitions.forget(tx, CONTENT, ARN))
    assert claim(store, "b").ours


def test_of_many_who_ask_at_once_one_registers(store: Store) -> None:
    together = threading.Barrier(10)

    def ask(number: int) -> bool:
        together.wait()
        return claim(store, str(number)).ours

    with ThreadPoolExecutor(10) as threads:
        assert sum(threads.map(ask, range(10))) == 1
