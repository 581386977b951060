"""The test rig's own law: every test gets a store of its own."""

from barbeque_py.apps import Queue
from barbeque_py.store import Store, apps


def test_a_store_is_migrated_and_empty(store: Store) -> None:
    assert store.read(apps.queue_names) == []
    store.write(lambda tx: apps.put_queue(tx, Queue("default", 3)))
    assert store.read(lambda tx: apps.get_queue(tx, "default")) == Queue("default", 3)


def test_what_another_test_wrote_is_not_there(store: Store) -> None:
    assert store.read(apps.queue_names) == []
