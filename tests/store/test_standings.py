"""Why it waits: every cause, produced on purpose, tells its own sentence and its own facts."""

from datetime import timedelta
from functools import partial
from typing import Any

from barbeque_py.cancel import cancel
from barbeque_py.executor import Preparation, Quota
from barbeque_py.ids import new_message_id
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.put_back import put_back
from barbeque_py.start import Claim, Claimant, claim
from barbeque_py.store import Store, Tx, apps, dead, quotas, standings, workers
from barbeque_py.store.standings import speaks_to
from barbeque_py.waiting import Cause, Waiting, decide, explain_unseen
from tests.store.world import (
    FAILURE,
    LEASE,
    PLACE,
    a_delivery,
    claim_one,
    define,
    end,
    enqueue,
    find,
    mark_running,
    set_limit,
)

CALLS = Quota("ecs:1:calls", burst=10, rate=10)


def why(store: Store, message_id: str, *, viewer: str | None = None) -> Waiting:
    found = maybe(store, message_id, viewer=viewer)
    assert found is not None
    return found


def maybe(store: Store, message_id: str, *, viewer: str | None = None) -> Waiting | None:
    execution = find(store, message_id)
    return store.read(lambda tx: decide(standings.read(tx, execution, viewer=viewer)))


def see(store: Store, *queues: str, worker: str = "w", place: str = PLACE) -> None:
    store.write(lambda tx: workers.see(tx, worker, place, queues))


def test_nobody_is_at_work_or_nobody_takes_from_the_queue(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    found = why(store, message_id)
    assert (found.cause, found.facts) == (Cause.NO_WORKER, {"workers": 0})
    see(store, "rare", "other")
    found = why(store, message_id)
    assert found.cause is Cause.NO_WORKER_FOR_QUEUE
    assert found.sentence.startswith("No live worker takes from the queue default:")
    see(store, "default", worker="v")
    assert why(store, message_id).cause is Cause.LINE
    store.write(lambda tx: workers.set_drained(tx, "v", drained=True))
    assert why(store, message_id).cause is Cause.DRAINED
    store.write(lambda tx: workers.set_drained(tx, "v", drained=False))
    assert why(store, message_id).cause is Cause.LINE
    store.shift += timedelta(minutes=5)
    assert why(store, message_id).cause is Cause.NO_WORKER


def test_a_paused_queue_tells_since_when_and_why(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    store.write(lambda tx: apps.pause_queue(tx, "default", "the printer is on fire"))
    found = why(store, message_id)
    assert found.cause is Cause.PAUSED
    assert found.sentence.endswith(" UTC (the printer is on fire).")
    store.write(lambda tx: apps.pause_queue(tx, "default"))
    assert why(store, message_id).facts["reason"] == "the printer is on fire"
    store.write(lambda tx: apps.resume_queue(tx, "default"))
    assert why(store, message_id).cause is not Cause.PAUSED


def test_it_is_due_later_and_its_queue_is_paused_beside(store: Store) -> None:
    define(store)
    due = store.read(lambda tx: tx.now) + timedelta(hours=5)
    message_id = enqueue(store, run_at=due)
    found = why(store, message_id)
    assert found.cause is Cause.DUE_LATER
    assert "(in 4 h)." in found.sentence
    store.write(lambda tx: apps.pause_queue(tx, "default"))
    assert why(store, message_id).sentence.endswith("; and the queue default is paused.")


def test_it_backs_off_after_a_failure_and_after_an_interruption(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    end(store, claim_one(store), FAILURE)
    found = why(store, message_id)
    assert (found.cause, found.facts["attempt"]) == (Cause.BACKOFF, 1)
    assert found.sentence.startswith("Attempt 1 exited with 1; the next one is due at ")
    define(store, job="Other")
    other = enqueue(store, job="Other")
    end(store, claim_one(store, other), Fate(Reason.INTERRUPTED))
    found = why(store, other)
    assert found.cause is Cause.INTERRUPTED
    assert found.sentence.startswith("Attempt 1 was interrupted, which uses up no try; ")


def test_a_full_limit_names_itself_and_who_holds_it(store: Store) -> None:
    define(store)
    define(store, app="other")
    see(store)
    holder = enqueue(store, concurrency_key="k")
    second, third = enqueue(store, concurrency_key="k"), enqueue(store, concurrency_key="k")
    claim_one(store, holder)
    claim_none(store)
    found = why(store, second)
    assert found.cause is Cause.LIMIT
    assert found.sentence.startswith(
        f"The limit of the concurrency key media/k is full: 1 of 1 runs: {holder}, the oldest since"
    )
    assert [each["message_id"] for each in found.facts["holders"]] == [holder]
    assert why(store, third).facts["limit"] == "key:media/k"
    set_limit(store, "queue:default", 1)
    alien = enqueue(store, app="other")
    found = why(store, alien)
    assert (found.cause, found.facts["limit"]) == (Cause.LIMIT, "queue:default")
    assert holder in found.sentence
    found = why(store, alien, viewer="other")
    assert holder not in str(found.to_json())
    assert (found.facts["used"], found.facts["holders"]) == (1, [])
    set_limit(store, "job:other/Encode", 0)
    set_limit(store, "queue:default", None)
    claim_none(store)
    assert why(store, alien).sentence == (
        "The limit of the job other/Encode is 0: nothing may run under it."
    )


def claim_none(store: Store) -> None:
    assert take(store, ()) == []


def take(store: Store, drawn: tuple[Quota, ...]) -> list[Claim]:
    def work(tx: Tx) -> list[Claim]:
        ready: dict[str, dict[str, Preparation]] = {}
        for job in apps.all_jobs(tx):
            ready.setdefault(job.app, {})[job.name] = Preparation("image", PLACE, quotas=drawn)
        return claim(tx, Claimant("w", PLACE, LEASE), "default", most=10, prepared=ready)

    return store.write(work)


def test_every_slot_is_taken(store: Store) -> None:
    define(store)
    see(store)
    set_limit(store, f"place:{PLACE}", 1)
    first, second, third = (enqueue(store) for _ in range(3))
    claim_one(store, first)
    found = why(store, third)
    assert found.cause is Cause.LIMIT
    assert found.sentence == "Every slot is taken: 1 of 1 at here; 1 before it."
    assert (found.facts["limit"], found.facts["position"]) == (f"place:{PLACE}", 2)
    assert why(store, second).facts["position"] == 1


def test_its_place_in_the_line_counts_priorities_and_apps_that_take_turns(store: Store) -> None:
    define(store)
    define(store, app="other")
    see(store)
    ids = [enqueue(store) for _ in range(3)]
    enqueue(store, priority=5)
    enqueue(store, app="other")
    found = why(store, ids[2])
    assert (found.cause, found.facts) == (Cause.LINE, {"position": 4, "other_apps": 1})
    assert found.sentence.endswith("; 3 before it, and 1 other app takes turns.")


def test_there_is_no_capacity(store: Store) -> None:
    define(store)
    see(store)
    message_id = enqueue(store)
    (claimed,) = take(store, (Quota("many", burst=1000, rate=1000),))
    reason = "RESOURCE:MEMORY"
    store.write(lambda tx: put_back(tx, claimed.attempt, owner="w", reason=reason))
    assert why(store, message_id).sentence.startswith("It asks for capacity again (RESOURCE:MEM")
    assert take(store, (Quota("many", burst=1000, rate=1000),)) == []
    found = why(store, message_id)
    assert (found.cause, found.facts["reason"]) == (Cause.CAPACITY, reason)
    assert "256 CPU units and 512 MiB in here (RESOURCE:MEMORY); it is asked" in found.sentence


def test_starts_are_throttled(store: Store) -> None:
    define(store)
    see(store)
    message_id = enqueue(store)
    store.write(lambda tx: quotas.take(tx, [CALLS]))
    assert why(store, message_id).cause is Cause.LINE
    store.write(lambda tx: quotas.drain(tx, [CALLS]))
    found = why(store, message_id)
    assert found.cause is Cause.THROTTLED
    assert "AWS takes only so many starts a second" in found.sentence
    claim_one(store, message_id)
    assert why(store, message_id).sentence.startswith("Attempt 1 waits because AWS")
    store.shift += timedelta(seconds=2)
    assert why(store, message_id).cause is Cause.STARTING


def test_it_is_being_started_stopped_or_nobody_sees_it(store: Store) -> None:
    define(store)
    see(store)
    message_id = enqueue(store)
    attempt = claim_one(store)
    found = why(store, message_id)
    assert (found.cause, found.facts["attempt"]) == (Cause.STARTING, 1)
    mark_running(store, attempt)
    assert maybe(store, message_id) is None
    store.write(lambda tx: cancel(tx, message_id))
    assert why(store, message_id).cause is Cause.STOPPING
    store.shift += timedelta(minutes=5)
    found = why(store, message_id)
    assert (found.cause, found.facts["place"]) == (Cause.UNWATCHED, PLACE)
    store.shift -= timedelta(minutes=5)
    end(store, attempt, Fate(Reason.EXITED, 0))
    assert maybe(store, message_id) is None


def test_no_worker_has_taken_its_message_in(store: Store) -> None:
    define(store)
    unseen = str(new_message_id())
    assert unseen_why(store, unseen).cause is Cause.NO_WORKER
    see(store)
    assert unseen_why(store, unseen).cause is Cause.NOT_TAKEN_IN
    enqueue(store)
    enqueue(store)
    found = unseen_why(store, unseen, mark=2)
    assert (found.cause, found.facts) == (Cause.INTAKE_RESTS, {"queues": ["default"]})
    assert "default (2 wait there)" in found.sentence
    bury = partial(dead.bury, delivery=a_delivery("{}"), reason="Type is missing")
    store.write(partial(bury, message_id=unseen))
    assert unseen_why(store, unseen, mark=2).sentence.startswith(
        "Its message can't become an execution: Type is missing."
    )


def unseen_why(store: Store, message_id: str, **mark: Any) -> Waiting:
    facts = store.read(lambda tx: standings.of_unseen(tx, message_id, **({"mark": 100} | mark)))
    return explain_unseen(facts)


def test_a_worker_of_ecs_speaks_to_all_clusters_of_its_account_and_region() -> None:
    home = "arn:aws:ecs:eu-west-1:123456789012:cluster/jobs"
    assert speaks_to(home, home.replace("jobs", "gpu"))
    assert not speaks_to(home, home.replace("eu-west-1", "us-east-1"))
    assert not speaks_to("docker:A", home)
    assert not speaks_to("docker:A", "docker:B")
    assert speaks_to("docker:A", "callback")
