"""The outbox: what is to be done after a commit is done by one worker at a time, until it is."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import update

from barbeque_py.store import Store, Tx, outbox, tables
from barbeque_py.store.outbox import Errand, Item
from tests.store.world import PLACE, later

HEAD_START = timedelta(seconds=15)
MINUTE = timedelta(minutes=1)


def put(
    store: Store,
    *subjects: str,
    lane: str = "",
    place: str | None = None,
    owner: str = "worker-1",
    head_start: timedelta = timedelta(0),
) -> None:
    def write(tx: Tx) -> None:
        chosen = [
            Errand("seal", each, lane or f"lane/{each}", place, owner, head_start)
            for each in subjects
        ]
        outbox.put(tx, chosen)

    store.write(write)


def take(
    store: Store, owner: str = "worker-1", *, most: int = 10, busy: tuple[str, ...] = ()
) -> list[Item]:
    return store.write(
        lambda tx: outbox.take(tx, owner, [PLACE], most=most, lease=MINUTE, busy=busy)
    )


def subjects(items: list[Item]) -> list[str]:
    return [each.subject for each in items]


def finish(store: Store, item: Item) -> None:
    store.write(lambda tx: outbox.finish(tx, [item.id]))


def test_each_thing_is_put_once(store: Store) -> None:
    put(store, "a", "b", "a")
    put(store, "b")
    assert subjects(take(store)) == ["a", "b"]


def test_only_the_owner_may_take_it_in_its_head_start(store: Store) -> None:
    put(store, "a", head_start=HEAD_START)
    assert take(store, "worker-2") == []
    assert subjects(take(store, "worker-1")) == ["a"]
    put(store, "b", head_start=HEAD_START)
    later(store, seconds=16)
    assert subjects(take(store, "worker-2")) == ["b"]


def test_a_lane_is_taken_one_thing_at_a_time(store: Store) -> None:
    put(store, "a", "b", "c", lane="slack")
    (first,) = take(store)
    assert first.subject == "a"
    assert take(store, busy=("slack",)) == []
    finish(store, first)
    assert subjects(take(store)) == ["b"]


def test_a_lane_that_another_worker_serves_is_left_to_it(store: Store) -> None:
    put(store, "a", "b", lane="slack")
    (first,) = take(store)
    assert take(store, "worker-2") == []
    finish(store, first)
    assert subjects(take(store, "worker-2")) == ["b"]


def test_a_full_lane_does_not_hide_the_others(store: Store) -> None:
    put(store, *[f"s{number:03}" for number in range(100)], lane="slack")
    put(store, "mail")
    take(store)
    assert subjects(take(store, busy=("slack",))) == ["mail"]


def test_what_belongs_to_a_place_is_taken_there_only(store: Store) -> None:
    put(store, "here", place=PLACE)
    put(store, "there", place="there")
    put(store, "anywhere")
    assert subjects(take(store)) == ["here", "anywhere"]


def test_at_most_as_many_as_asked_for_the_oldest_first(store: Store) -> None:
    put(store, "a", "b", "c")
    assert subjects(take(store, most=2)) == ["a", "b"]


def test_what_a_dead_worker_leased_is_taken_after_its_lease(store: Store) -> None:
    put(store, "a")
    take(store)
    later(store, seconds=59)
    assert take(store, "worker-2") == []
    later(store, seconds=2)
    assert subjects(take(store, "worker-2")) == ["a"]


def test_a_kept_lease_does_not_end(store: Store) -> None:
    put(store, "a")
    (item,) = take(store)
    for _ in range(3):
        later(store, seconds=50)
        store.write(lambda tx: outbox.keep(tx, [item.id], "worker-1", MINUTE))
    assert take(store, "worker-2") == []


def test_what_was_put_off_or_is_another_s_meanwhile_is_not_kept(store: Store) -> None:
    put(store, "a")
    (item,) = take(store)
    store.write(lambda tx: outbox.postpone(tx, item.id, wait=timedelta(0), error="refused"))
    store.write(lambda tx: outbox.keep(tx, [item.id], "worker-1", MINUTE))
    assert subjects(take(store, "worker-2")) == ["a"]
    store.write(lambda tx: outbox.keep(tx, [item.id], "worker-1", 9 * MINUTE))
    later(store, seconds=61)
    assert subjects(take(store, "worker-3")) == ["a"]


def test_what_failed_waits_and_remembers_why(store: Store) -> None:
    put(store, "a")
    for tries in range(3):
        (item,) = take(store)
        assert item.tries == tries
        wait = timedelta(seconds=2**tries)
        store.write(
            lambda tx, item=item, wait=wait: outbox.postpone(  # type: ignore[misc]
                tx, item.id, wait=wait, error="refused " * 1000
            )
        )
        assert take(store) == []
        later(store, seconds=2**tries)
    (item,) = take(store, "worker-2")
    assert (item.last_error or "").startswith("refused")
    assert len(item.last_error or "") == 2000


def test_what_is_done_is_neither_taken_nor_put_off(store: Store) -> None:
    put(store, "a")
    (item,) = take(store)
    assert store.read(outbox.any_due)
    finish(store, item)
    store.write(lambda tx: outbox.postpone(tx, item.id, wait=timedelta(0), error="late"))
    put(store, "a")
    later(store, days=1)
    assert take(store) == []
    assert not store.read(outbox.any_due)
    assert store.read(outbox.oldest_due) is None


def test_a_stopping_worker_gives_up_what_it_leased(store: Store) -> None:
    put(store, "a", "b")
    take(store)
    store.write(lambda tx: outbox.release(tx, "worker-1"))
    assert subjects(take(store, "worker-2")) == ["a", "b"]


def forget(store: Store) -> int:
    return store.write(lambda tx: outbox.forget_done(tx, timedelta(days=7), 10))


def test_what_is_done_is_forgotten_after_its_time_and_what_is_due_never(store: Store) -> None:
    put(store, "a", "b")
    finish(store, take(store, most=1)[0])
    assert forget(store) == 0
    later(store, days=8)
    assert (forget(store), forget(store)) == (1, 0)
    found = store.read(outbox.oldest_due)
    assert found is not None
    assert found.subject == "b"


def test_two_workers_never_have_the_same_thing(store: Store, other_store: Store) -> None:
    put(store, *[f"s{number:02}" for number in range(40)])
    store.write(
        lambda tx: tx.execute(update(tables.posts.outbox).values(owner=None, lease_until=None))
    )

    def work(number: int) -> list[str]:
        chosen = [store, other_store][number % 2]
        return [each for _ in range(3) for each in subjects(take(chosen, str(number), most=5))]

    with ThreadPoolExecutor(8) as pool:
        # An item of one's own may be taken again: the relay names its lanes as busy.
        taken = [set(mine) for mine in pool.map(work, range(8))]
    assert sum(map(len, taken)) == len(set().union(*taken))
