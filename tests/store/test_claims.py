"""What is claimed, in which order, when it is due, and where a pause takes effect."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from barbeque_py import clock
from barbeque_py.apps import App
from barbeque_py.errors import LaunchRefused
from barbeque_py.executions import AttemptState, Stage, State
from barbeque_py.executor import Launch, Preparation
from barbeque_py.start import Claimant, claim
from barbeque_py.store import Store, apps, executions, ready, revisions
from barbeque_worker.dispatch import _startable
from tests.store.world import (
    LEASE,
    PLACE,
    SUCCESS,
    attempts_of,
    claim_one,
    claim_some,
    claimed_ids,
    define,
    end,
    enqueue,
    find,
    later,
    ripen,
    stages,
    take_in,
)
from tests.store.world import a_body as body


def test_the_oldest_is_claimed_first(store: Store) -> None:
    define(store)
    ids = [enqueue(store) for _ in range(5)]
    assert claimed_ids(claim_some(store, 3)) == ids[:3]
    assert claimed_ids(claim_some(store, 3)) == ids[3:]


def test_the_highest_priority_is_claimed_first(store: Store) -> None:
    define(store)
    ids = {priority: enqueue(store, priority=priority) for priority in (0, -100, 100, 7)}
    assert claimed_ids(claim_some(store)) == [ids[each] for each in (100, 7, 0, -100)]


def test_a_definitions_priority_serves_where_the_request_names_none(store: Store) -> None:
    define(store)
    define(store, job="Urgent", priority=10)
    slow, urgent = enqueue(store), enqueue(store, job="Urgent")
    lowered = enqueue(store, job="Urgent", priority=-1)
    assert claimed_ids(claim_some(store)) == [urgent, slow, lowered]


def test_the_app_with_the_fewest_running_attempts_is_next(store: Store) -> None:
    for app in ("busy", "calm", "idle"):
        define(store, app=app)
    for _ in range(10):
        enqueue(store, "busy")
    claim_some(store, 4)
    for _ in range(3):
        enqueue(store, "calm")
        enqueue(store, "idle")
    claimed = Counter(each.execution.app for each in claim_some(store, 6))
    assert claimed == {"calm": 3, "idle": 3}
    for _ in range(3):
        enqueue(store, "idle")
    assert {each.execution.app for each in claim_some(store, 1)} == {"idle"}


def test_priority_goes_before_fairness(store: Store) -> None:
    define(store, app="busy")
    define(store, app="calm")
    enqueue(store, "busy")
    claim_some(store)
    enqueue(store, "calm")
    urgent = enqueue(store, "busy", priority=1)
    assert claimed_ids(claim_some(store, 1)) == [urgent]


def test_an_app_whose_image_is_not_ready_is_left_out(store: Store) -> None:
    define(store)
    define(store, app="shop", job="Mail")
    media, shop = enqueue(store), enqueue(store, "shop", "Mail")
    who = Claimant("worker", PLACE, LEASE)
    ready = {"shop": {"Mail": Preparation("shop@sha256:2", PLACE)}}
    claims = store.write(lambda tx: claim(tx, who, "default", most=9, prepared=ready))
    assert claimed_ids(claims) == [shop]
    assert claims[0].launch.image == "shop@sha256:2"
    assert find(store, media).stage is Stage.READY


def test_an_image_that_was_refused_is_claimed_as_refused(store: Store) -> None:
    define(store)
    enqueue(store)
    no = LaunchRefused("no such image", blame_definition=True)
    who = Claimant("worker", PLACE, LEASE)
    ready = {"media": {"Encode": no}}
    claims = store.write(lambda tx: claim(tx, who, "default", most=9, prepared=ready))
    assert [each.refused for each in claims] == [no]


def test_a_job_whose_definition_is_gone_is_claimed_as_refused(store: Store) -> None:
    define(store)
    enqueue(store)
    store.write(lambda tx: apps.remove_job(tx, "media", "Encode"))
    (found,) = claim_some(store)
    assert found.refused is not None
    assert found.refused.blame_definition


def test_a_claim_is_written_whole_before_anything_starts(store: Store) -> None:
    define(store, timeout=timedelta(minutes=5), env={"LEVEL": "9"})
    message_id = enqueue(store, timeout=timedelta(minutes=1))
    (found,) = claim_some(store)
    (attempt,) = attempts_of(store, message_id)
    assert attempt.id == f"{message_id}-1"
    assert (attempt.state, attempt.epoch, attempt.owner) == (AttemptState.STARTING, 1, "worker-1")
    assert attempt.lease_until == attempt.claimed_at + LEASE
    assert attempt.request is not None
    assert Launch.from_json(attempt.request) == found.launch
    assert (found.launch.timeout, found.launch.image) == (60.0, "media:1@sha256:1")
    assert found.launch.environment["LEVEL"] == "9"
    assert found.launch.environment["BARBEQUE_RETRY_COUNT"] == "0"
    assert find(store, message_id).state is State.RUNNING


def test_no_execution_is_claimed_twice(store: Store, other_store: Store) -> None:
    define(store)
    define(store, app="shop")
    ids = [enqueue(store, ["media", "shop"][number % 2]) for number in range(60)]

    def work(number: int) -> list[str]:
        mine: list[str] = []
        until = clock.monotonic() + 120
        while store.read(lambda tx: ready.count_startable(tx, "default", 1)):
            assert clock.monotonic() < until
            chosen = [store, other_store][number % 2]
            most = random.Random(number).randint(1, 5)
            mine += claimed_ids(claim_some(chosen, most, owner=str(number)))
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [each for mine in pool.map(work, range(8)) for each in mine]
    assert sorted(claimed) == sorted(ids)
    assert all(len(attempts_of(store, each)) == 1 for each in ids)


@pytest.mark.parametrize("days", [1, 40, 365])
def test_a_due_time_may_be_any_number_of_days_ahead(store: Store, days: int) -> None:
    define(store)
    due = clock.now() + timedelta(days=days)
    message_id = enqueue(store, run_at=due)
    found = find(store, message_id)
    assert (found.stage, found.due_at) == (Stage.SCHEDULED, due)
    assert store.read(executions.next_due) == due
    later(store, days=days, seconds=-60)
    assert (ripen(store), claim_some(store)) == (0, [])
    later(store, seconds=120)
    assert ripen(store) == 1
    claim_one(store, message_id)


def test_a_due_time_that_is_past_means_now(store: Store) -> None:
    define(store)
    message_id = enqueue(store, run_at=clock.now() - timedelta(days=9))
    claim_one(store, message_id)


def test_what_is_due_first_ripens_first_and_in_batches(store: Store) -> None:
    define(store)
    now = clock.now()
    ids = [enqueue(store, run_at=now + timedelta(minutes=each)) for each in (3, 1, 2)]
    later(store, hours=1)
    assert store.write(lambda tx: executions.ripen(tx, 2)) == 2
    assert [find(store, each).stage for each in ids] == [
        Stage.SCHEDULED,
        Stage.READY,
        Stage.READY,
    ]


def test_eight_that_ripen_at_once_ripen_each_once(store: Store, other_store: Store) -> None:
    define(store)
    run_at = clock.now() + timedelta(minutes=1)
    take_in(store, *[body(run_at=run_at) for _ in range(40)])
    store.shift = other_store.shift = timedelta(hours=1)
    with ThreadPoolExecutor(8) as pool:
        ripened = sum(pool.map(ripen, [store, other_store] * 4))
    while (more := ripen(store)) > 0:
        ripened += more
    assert ripened == 40
    assert stages(store) == {Stage.READY: 40}


def test_a_paused_queue_takes_in_but_offers_nothing_to_start(store: Store) -> None:
    define(store)
    store.write(lambda tx: apps.pause_queue(tx, "default"))
    message_id = enqueue(store)
    assert find(store, message_id).stage is Stage.READY
    assert store.read(lambda tx: _startable(tx, "default", PLACE, None)) == {}
    store.write(lambda tx: apps.resume_queue(tx, "default"))
    offered = store.read(lambda tx: _startable(tx, "default", PLACE, None))
    assert [job.image for job in offered["media"].values()] == ["media:1"]


def test_a_second_pause_keeps_the_time_of_the_first(store: Store) -> None:
    define(store)
    store.write(lambda tx: apps.pause_queue(tx, "default"))
    before = store.read(apps.paused_queues)
    later(store, hours=1)
    assert store.write(lambda tx: apps.pause_queue(tx, "default"))
    assert store.read(apps.paused_queues) == before
    assert not store.write(lambda tx: apps.pause_queue(tx, "nowhere"))
    assert not store.write(lambda tx: apps.resume_queue(tx, "nowhere"))


def test_many_apps_and_ranks_are_walked_group_by_group(store: Store) -> None:
    for number in range(12):
        define(store, app=f"app{number:02}")
        for rank in (0, 5):
            enqueue(store, f"app{number:02}", priority=rank)
    found = store.read(lambda tx: ready.waiting_groups(tx, "default", leave_out=["app03"]))
    names = [f"app{number:02}" for number in range(12) if number != 3]
    assert found == [(-5, name) for name in names] + [(0, name) for name in names]


def test_names_that_differ_by_case_or_a_dot_are_different(store: Store) -> None:
    for name in ("Media", "media", "media.", "media-"):
        define(store, app=name)
        enqueue(store, name)
    assert sorted(each.execution.app for each in claim_some(store)) == [
        "Media",
        "media",
        "media-",
        "media.",
    ]


def test_an_apps_new_image_is_that_of_the_next_attempt(store: Store) -> None:
    define(store)
    message_id = enqueue(store)
    store.write(lambda tx: revisions.add(tx, "media", "media:2", pinned=None, made_by="a test"))
    assert claim_some(store)[0].launch.image == "media:2@sha256:1"
    end(store, attempts_of(store, message_id)[0].id, SUCCESS)


def test_an_app_is_read_back_as_it_was_put(store: Store) -> None:
    app = App("a", "i", env={"K": "\N{SNOWMAN}"}, process_path=("/x",), notify={"slack": "#a"})
    store.write(lambda tx: apps.put_app(tx, app))
    store.write(lambda tx: apps.put_app(tx, app))
    assert store.read(lambda tx: apps.get_app(tx, "a")) == app
    definition = define(store, app="a", job="J", retry=define(store).retry, at_most_once=True)
    assert store.read(lambda tx: apps.get_job(tx, "a", "J")) == definition
    assert [each.name for each in store.read(apps.all_apps)] == ["a", "media"]
