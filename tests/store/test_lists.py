"""Lists of executions: every filter alone and together, page by page, with nothing twice."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from barbeque_py import clock
from barbeque_py.comparisons import compare_duration, compare_whole
from barbeque_py.executions import State, barbeque_status
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.prune import prune
from barbeque_py.store import Store, lists
from barbeque_py.store.executions import Execution
from barbeque_py.store.filters import STATUSES, Filter
from barbeque_py.store.lists import Counted
from tests.store.world import SUCCESS as DONE
from tests.store.world import (
    a_body,
    an_execution,
    claim_one,
    define,
    end,
    enqueue,
    find,
    later,
    mark_running,
    row,
    set_columns,
    take_in,
)


@pytest.fixture
def narrow_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barbeque_py.store.leads.WINDOW", 4)


def pages(store: Store, wanted: Filter, most: int = 3) -> list[list[int]]:
    """Return the pages of the list, from the newest row to the oldest."""
    found: list[list[int]] = []
    before: int | None = None
    while True:
        page = store.read(partial(lists.newest, wanted=wanted, before=before, most=most))
        found.append([each.id for each in page.rows])
        if page.next is None:
            return found
        before = page.next


def listed(store: Store, wanted: Filter) -> list[int]:
    return [each for page in pages(store, wanted) for each in page]


def backwards(store: Store, wanted: Filter, most: int = 3) -> list[int]:
    """Return the list from the oldest row up, newest first, as pages of newer rows make it."""
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = store.read(partial(lists.newer, wanted=wanted, after=after, most=most))
        found = [each.id for each in page.rows] + found
        after = page.next
    return found


def test_every_filter_finds_what_it_names_in_pages_that_overlap_nowhere(
    store: Store, narrow_window: None
) -> None:
    numbers = []
    for n in range(20):
        number = an_execution(
            store,
            app=f"app{n % 2}",
            job=f"job{n % 3}",
            queue="rare" if n % 5 == 0 else "default",
            options={"user_id": f"user{n % 4}"},
        )
        numbers.append(number)
        if n % 7 == 0:
            set_columns(store, number, state=State.FAILED)
    facts = {number: row(store, number) for number in numbers}
    for wanted in (
        Filter(),
        Filter(app="app1"),
        Filter(job="job2"),
        Filter(app="app1", job="job2"),
        Filter(queue="rare"),
        Filter(app="app0", queue="rare"),
        Filter(state=State.FAILED),
        Filter(app="app1", state=State.FAILED),
        Filter(app="app0", job="job0", state=State.QUEUED, queue="rare"),
        Filter(user_id="user3"),
        Filter(user_id="user1", queue="rare", state=State.QUEUED),
        Filter(state=State.SUCCEEDED),
        Filter(status="pending", app="app1"),
        Filter(status="failed", state=State.QUEUED),
    ):
        asked = {
            name: getattr(wanted, name)
            for name in ("app", "job", "queue", "state", "user_id")
            if getattr(wanted, name) is not None
        }
        fit = [
            number
            for number, each in reversed(facts.items())
            if all(getattr(each, name) == value for name, value in asked.items())
            and (wanted.status is None or word(each) == wanted.status)
        ]
        assert listed(store, wanted) == fit, wanted
        assert backwards(store, wanted) == fit, wanted
        assert store.read(partial(lists.count, wanted=wanted, most=100)) == len(fit)
    assert store.read(lambda tx: lists.count(tx, Filter(), most=5)) == 6


def word(each: Execution) -> str:
    return barbeque_status(
        each.state,
        round_=each.round,
        counted=each.counted_before,
        could_not_start=each.could_not_start,
    )


def test_barbeques_words_mean_in_lists_what_they_mean_of_one(store: Store) -> None:
    numbers = []
    for state in State:
        for round_ in (1, 2):
            for before in (0, 1):
                for unable in (False, True):
                    number = an_execution(store)
                    numbers.append(number)
                    set_columns(
                        store,
                        number,
                        state=state,
                        round=round_,
                        counted_before=before,
                        could_not_start=unable,
                    )
    facts = [row(store, number) for number in reversed(numbers)]
    found = {status: listed(store, Filter(status=status)) for status in STATUSES}
    assert found == {
        status: [each.id for each in facts if word(each) == status] for status in STATUSES
    }
    assert sorted(each for ids in found.values() for each in ids) == numbers


def test_tags_are_taken_in_found_and_forgotten(
    store: Store, tmp_path: Path, narrow_window: None
) -> None:
    define(store)
    define(store, app="other")
    ids = [enqueue(store, tags={"env": "prod", "n": str(n % 2)}) for n in range(8)]
    enqueue(store)
    enqueue(store, app="other", tags={"env": "prod"})
    numbers = [find(store, each).id for each in ids][::-1]
    prod = Filter(app="media", tags=(("env", "prod"),))
    assert listed(store, prod) == numbers
    both = Filter(app="media", tags=(("env", "prod"), ("n", "1")))
    assert listed(store, both) == numbers[::2]
    assert backwards(store, both) == numbers[::2]
    assert store.read(lambda tx: lists.count(tx, both, most=10)) == 4
    assert listed(store, Filter(app="media", tags=(("env", "Prod"),))) == []
    end(store, claim_one(store), DONE)
    later(store, days=100)
    assert prune(store, DirectoryLogStore(tmp_path), timedelta(days=90)) == 1
    assert listed(store, prod) == numbers[:-1]


def test_a_repeat_with_other_tags_adds_none(store: Store) -> None:
    define(store)
    first = a_body(tags={"a": "1"})
    message_id = first.split('"MessageId":"')[1][:36]
    take_in(store, first)
    take_in(store, a_body(message_id=message_id, tags={"a": "2"}))
    take_in(store, first)
    assert len(listed(store, Filter(app="media", tags=(("a", "1"),)))) == 1
    assert listed(store, Filter(app="media", tags=(("a", "2"),))) == []


def test_a_time_is_that_of_taking_in_and_its_ends_are_exact(store: Store) -> None:
    began = clock.now()
    hours = [
        an_execution(store, recorded_at=began + timedelta(hours=n), app=f"app{n % 2}")
        for n in range(10)
    ]
    three = Filter(since=began + timedelta(hours=3), until=began + timedelta(hours=6))
    assert listed(store, three) == hours[5:2:-1]
    assert backwards(store, three) == hours[5:2:-1]
    assert listed(store, Filter(app="app1", since=began + timedelta(hours=8))) == [hours[9]]
    assert listed(store, Filter(until=began)) == []
    assert store.read(lambda tx: lists.count(tx, three, most=10)) == 3


def test_a_list_is_narrowed_by_the_last_attempt_and_by_texts(
    store: Store, narrow_window: None
) -> None:
    define(store)
    numbers = []
    for code, minutes in ((137, 1), (1, 5), (0, 2), (137, 0)):
        message_id = enqueue(store, message='{"who": "50%_SON"}' if code == 1 else "{}")
        attempt = claim_one(store, message_id)
        mark_running(store, attempt)
        later(store, minutes=minutes)
        if minutes:  # the last one still runs
            why = Reason.OUT_OF_MEMORY if code == 137 else Reason.EXITED
            end(store, attempt, Fate(why, exit_code=code, detail="It was Killed"))
        numbers.append(find(store, message_id).id)
    later(store, minutes=3)
    killed, odd, fine, running = numbers
    for wanted, fit in (
        (Filter(exit_code=compare_whole("137")), [killed]),
        (Filter(exit_code=compare_whole(">0")), [odd, killed]),
        (Filter(exit_code=compare_whole("<1"), app="media"), [fine]),
        (Filter(duration=compare_duration(">90s")), [running, fine, odd]),
        (Filter(duration=compare_duration("<=3m")), [fine, killed]),
        (Filter(duration=compare_duration(">=5m"), prefix=row(store, odd).message_id), [odd]),
        (Filter(attempts=compare_whole(">=1"), status="running"), [running]),
        (Filter(attempts=compare_whole(">1")), []),
        (Filter(text="50%_son"), [odd]),
        (Filter(text="it was killed", job="Encode"), [fine, odd, killed]),
        (Filter(text="nowhere"), []),
    ):
        assert listed(store, wanted) == fit, wanted
        assert backwards(store, wanted) == fit, wanted
        assert store.read(partial(lists.count, wanted=wanted, most=9)) == len(fit)
    near = partial(lists.count_near, wanted=Filter(text="nowhere"), most=9)
    assert store.read(partial(near, windows=2)) == Counted(0, whole=False)
    assert store.read(partial(near, windows=9)) == Counted(0, whole=True)


def test_an_id_is_found_by_its_beginning(store: Store) -> None:
    ids = [f"0198aaaa-{n:04}-7000-8000-000000000000" for n in range(7)]
    numbers = [
        an_execution(store, message_id=each, app=f"app{n % 2}") for n, each in enumerate(ids)
    ]
    an_execution(store, message_id="0198aaab-0000-7000-8000-000000000000")
    assert listed(store, Filter(prefix="0198aaaa")) == numbers[::-1]
    assert listed(store, Filter(prefix="0198aaaa-0003")) == [numbers[3]]
    assert listed(store, Filter(prefix="0198aaaa", app="app1", status="pending")) == numbers[5::-2]
    assert listed(store, Filter(prefix=ids[2])) == [numbers[2]]
    assert store.read(lambda tx: lists.count(tx, Filter(prefix="0198aaaa"), most=3)) == 4
