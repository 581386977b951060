"""Where there is no capacity only that size of that place waits, and one probe asks again."""

from barbeque_py.cancel import cancel
from barbeque_py.executions import AttemptState, Stage, State
from barbeque_py.executor import Preparation, Quota
from barbeque_py.ids import AttemptId
from barbeque_py.put_back import put_back
from barbeque_py.start import Claim, Claimant, claim
from barbeque_py.store import Store, Tx, apps, limits, pauses
from tests.store.world import (
    LEASE,
    PLACE,
    SUCCESS,
    attempts_of,
    counters,
    define,
    end,
    enqueue,
    find,
    later,
    mark_running,
)

PLENTY = (Quota("calls", burst=1000, rate=1000),)
ROOM = f"room:{PLACE}/256x512"
REASON = "RESOURCE:MEMORY"


def claim_tasks(store: Store, most: int = 10) -> list[Claim]:
    """Claim as a worker of a fleet does."""

    def take(tx: Tx) -> list[Claim]:
        ready: dict[str, dict[str, Preparation]] = {}
        for job in apps.all_jobs(tx):
            ready.setdefault(job.app, {})[job.name] = Preparation("image", PLACE, quotas=PLENTY)
        who = Claimant("worker-1", PLACE, LEASE)
        return claim(tx, who, "default", most=most, prepared=ready)

    return store.write(take)


def give_back(store: Store, attempt: AttemptId) -> bool:
    return store.write(lambda tx: put_back(tx, attempt, owner="worker-1", reason=REASON))


def shortage(store: Store) -> str:
    """Enqueue one, and have its place say that there is no room for it; return its id."""
    define(store)
    message_id = enqueue(store)
    (claimed,) = claim_tasks(store)
    assert give_back(store, claimed.attempt)
    return message_id


def test_what_finds_no_room_costs_no_attempt_and_holds_no_slot(store: Store) -> None:
    message_id = shortage(store)
    found = find(store, message_id)
    assert (found.state, found.stage, found.counted) == (State.QUEUED, Stage.READY, 0)
    (attempt,) = attempts_of(store, message_id)
    assert (attempt.state, attempt.launch_number) == (AttemptState.WAITING, 2)
    assert attempt.first_called_at is None
    assert counters(store) == {}


def test_its_size_is_held_and_another_size_goes_on(store: Store) -> None:
    message_id = shortage(store)
    define(store, job="Small", memory=128)
    small = enqueue(store, job="Small")
    assert [each.execution.message_id for each in claim_tasks(store)] == [small]
    held = find(store, message_id)
    assert (held.stage, held.held_by) == (Stage.HELD, ROOM)
    pause = store.read(lambda tx: pauses.of_scope(tx, held.held_by))
    assert pause is not None
    assert pause.reason == REASON
    assert pauses.where(ROOM).startswith("256 CPU units and 512 MiB in ")


def test_after_the_pause_one_asks_again_under_the_next_launch_number(store: Store) -> None:
    message_id = shortage(store)
    enqueue(store)
    assert claim_tasks(store) == []
    store.write(lambda tx: pauses.probe(tx, ROOM))
    assert claim_tasks(store) == [], "the pause is not over"
    later(store, seconds=6)
    store.write(lambda tx: pauses.probe(tx, ROOM))
    (claimed,) = claim_tasks(store)
    assert claimed.execution.message_id == message_id
    assert (claimed.launch.number, claimed.launch.launch_number) == (1, 2)
    (attempt,) = attempts_of(store, message_id)
    assert attempt.state is AttemptState.STARTING
    assert attempt.first_called_at is not None
    assert find(store, message_id).attempts == 1


def test_a_probe_that_starts_wakes_all_that_waited(store: Store) -> None:
    message_id = shortage(store)
    others = [enqueue(store) for _ in range(3)]
    assert claim_tasks(store) == []
    later(store, seconds=6)
    store.write(lambda tx: pauses.probe(tx, ROOM))
    (claimed,) = claim_tasks(store)
    store.write(lambda tx: pauses.lift(tx, ROOM))
    assert {each.execution.message_id for each in claim_tasks(store)} == set(others)
    end(store, claimed.attempt, SUCCESS)
    assert find(store, message_id).state is State.SUCCEEDED
    assert store.read(pauses.current) == {}


def test_a_probe_that_finds_no_room_makes_the_next_pause_twice_as_long(store: Store) -> None:
    shortage(store)
    assert claim_tasks(store) == []
    lengths = []
    for _ in range(5):
        lengths.append(store.read(pauses.current)[ROOM].seconds)
        later(store, seconds=61)
        store.write(lambda tx: pauses.probe(tx, ROOM))
        (claimed,) = claim_tasks(store)
        give_back(store, claimed.attempt)
        assert claim_tasks(store) == []
    assert lengths == [5, 10, 20, 40, 60]


def test_a_pause_for_which_nothing_waits_ends_by_itself(store: Store) -> None:
    message_id = shortage(store)
    assert claim_tasks(store) == []

    store.write(lambda tx: cancel(tx, message_id))
    assert find(store, message_id).state is State.CANCELLED
    (attempt,) = attempts_of(store, message_id)
    assert attempt.state is AttemptState.ENDED
    later(store, seconds=6)
    store.write(lambda tx: pauses.probe(tx, ROOM))
    assert store.read(pauses.current) == {}
    assert store.read(lambda tx: limits.read(tx, [ROOM]))[ROOM].max is None


def test_a_cancel_that_comes_while_the_start_is_refused_ends_it(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    (claimed,) = claim_tasks(store)

    store.write(lambda tx: cancel(tx, message_id))
    assert give_back(store, claimed.attempt)
    assert find(store, message_id).state is State.CANCELLED
    assert attempts_of(store, message_id)[0].state is AttemptState.ENDED
    assert counters(store) == {}


def test_only_its_owner_puts_a_starting_attempt_back(store: Store) -> None:
    define(store)
    enqueue(store)
    (claimed,) = claim_tasks(store)
    other = store.write(lambda tx: put_back(tx, claimed.attempt, owner="another", reason=REASON))
    assert not other
    mark_running(store, claimed.attempt)
    assert not give_back(store, claimed.attempt)


def test_a_claim_takes_no_more_than_the_quota_allows(store: Store) -> None:
    define(store)
    for _ in range(8):
        enqueue(store)
    few = (Quota("few", burst=3, rate=1),)

    def take(tx: Tx) -> list[Claim]:
        ready = {"media": {"Encode": Preparation("image", PLACE, quotas=few)}}
        return claim(tx, Claimant("worker-1", PLACE, LEASE), "default", most=9, prepared=ready)

    assert [len(store.write(take)), len(store.write(take))] == [3, 0]
    later(store, seconds=2.5)
    assert len(store.write(take)) == 2
