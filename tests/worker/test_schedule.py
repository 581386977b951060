"""What runs by the clock runs once, whoever looks and whoever dies; the clock is shifted."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from barbeque_py import clock
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.broker import Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.errors import BrokerUnavailable
from barbeque_py.executions import State
from barbeque_py.fire import id_of
from barbeque_py.identity import EVERYBODY
from barbeque_py.intake import Intake
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.schedules import CatchUp, Overlap, Schedule
from barbeque_py.store import Store, Tx, apps, audit, lists, schedules, tables
from barbeque_py.store import executions as rows
from barbeque_py.store.entries import Entry
from barbeque_py.store.filters import Filter
from barbeque_py.store.schedules import Scheduled
from barbeque_py.suspend import CLOCK, Rest, suspend
from barbeque_py.wake import Bell
from barbeque_worker.schedule import Schedules
from tests.waiting import wait_until
from tests.worker.office import Office

NOON = datetime(2027, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OFTEN = Schedule("media", "Report", "often", "* * * * *", message='{"a":1}')


class Hall:
    """A store whose clock is set by hand, its schedules, and workers that look at them."""

    def __init__(self, store: Store, home: Path) -> None:
        self.store = store
        self.home = home
        self.broker = DatabaseBroker(store)
        self.logs = DirectoryLogStore(home / "logs")
        self.bell = Bell(home)
        self.set(NOON)
        store.write(_define)

    def set(self, now: datetime) -> None:
        """Let it be this time from now on, as far as the database knows."""
        self.store.shift = now - clock.now()

    def put(self, schedule: Schedule = OFTEN, **changes: Any) -> Schedule:
        schedule = replace(schedule, **changes)
        self.store.write(lambda tx: schedules.put(tx, schedule))
        return schedule

    def get(self, schedule: Schedule) -> Scheduled:
        found = self.store.read(lambda tx: schedules.get(tx, *key_of(schedule)))
        assert found is not None
        return found

    def worker(self, owner: str = "w", broker: DatabaseBroker | None = None) -> Schedules:
        return Schedules(self.store, broker or self.broker, self.logs, self.bell, owner=owner)

    def at(self, now: datetime) -> list[str]:
        """Let a worker look at this time; return what has run or waits to, by its time."""
        self.set(now)
        self.worker().step()
        return self.runs()

    def runs(self) -> list[str]:
        """Take in what was sent; return the times of all runs, in their order."""
        intake = Intake(self.store, self.broker, self.logs)
        while intake.take("default", wait=timedelta(0)):
            pass
        return sorted(str(each)[11:16] for each in self.times())

    def times(self) -> list[str]:
        found = self.store.read(lambda tx: [rows.by_id(tx, each.id) for each in newest(tx)])
        return [each.options["tags"]["scheduled_at"] for each in found if each is not None]

    def end_all(self, state: State = State.SUCCEEDED) -> None:
        """Let every run have ended."""
        change = update(tables.runs.executions).values(state=state, stage="done")
        self.store.write(lambda tx: tx.execute(change))


def newest(tx: Tx) -> Sequence[Entry]:
    return lists.newest(tx, Filter(), most=200).rows


def key_of(schedule: Schedule) -> tuple[str, str, str]:
    return schedule.app, schedule.job, schedule.name


def _define(tx: Tx) -> None:
    apps.put_queue(tx, Queue("default"))
    apps.put_app(tx, App("media", "media:1"))
    apps.put_job(tx, JobDefinition("media", "Report", ("report",)))


@pytest.fixture
def hall(store: Store, tmp_path: Path) -> Iterator[Hall]:
    hall = Hall(store, tmp_path)
    yield hall
    hall.bell.close()


@pytest.fixture
def small_hall(sqlite_store: Store, tmp_path: Path) -> Iterator[Hall]:
    hall = Hall(sqlite_store, tmp_path)
    yield hall
    hall.bell.close()


def test_a_schedule_runs_its_job_at_its_times(small_hall: Hall) -> None:
    hall = small_hall
    schedule = hall.put()
    assert hall.at(NOON + 0.9 * MINUTE) == []
    assert hall.at(NOON + 1.1 * MINUTE) == ["12:01"]
    assert hall.at(NOON + 1.9 * MINUTE) == ["12:01"]
    assert hall.at(NOON + 2.1 * MINUTE) == ["12:01", "12:02"]
    (last, _) = hall.store.read(newest)
    assert (last.app, last.job, last.queue) == ("media", "Report", "default")
    assert last.message_id == id_of(schedule, NOON + 2 * MINUTE)
    found = hall.store.read(lambda tx: rows.by_id(tx, last.id))
    assert found is not None
    assert found.message == '{"a":1}'
    assert found.options["tags"]["schedule"] == "often"


def test_many_workers_run_each_time_once(hall: Hall) -> None:
    for number in range(5):
        hall.put(name=f"s{number}", catch_up=CatchUp.ALL)
    hall.set(NOON + 3.1 * MINUTE)
    workers = [hall.worker(f"w{number}") for number in range(6)]
    with ThreadPoolExecutor(6) as crowd:
        for _ in range(3):
            assert all(rest >= 0 for rest in crowd.map(Schedules.step, workers))
    assert hall.runs() == sorted(["12:01", "12:02", "12:03"] * 5)
    notes = {each.note for each in hall.store.read(newest)}
    assert notes == {None}


DIES = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.store import Store
from barbeque_py.wake import Bell
from barbeque_worker.schedule import Schedules
url, home, shift, when = sys.argv[1:]
class Dying(DatabaseBroker):
    def send(self, queue, parcels):
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().send(queue, parcels)
        os.kill(os.getpid(), signal.SIGKILL)
store = Store(url)
store.shift = timedelta(seconds=float(shift))
logs = DirectoryLogStore(Path(home) / "logs")
Schedules(store, Dying(store), logs, Bell(Path(home)), owner="dying").step()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_around_the_sending_loses_and_doubles_nothing(
    hall: Hall, when: str
) -> None:
    hall.put()
    hall.put(name="other", overlap=Overlap.SKIP)
    hall.set(NOON + 1.1 * MINUTE)
    url = hall.store.url.render_as_string(hide_password=False)
    arguments = [url, str(hall.home), str(hall.store.shift.total_seconds()), when]
    died = subprocess.run([sys.executable, "-c", DIES, *arguments], check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(hall.runs()) == (0 if when == "before" else 1)
    assert len(hall.at(NOON + 1.2 * MINUTE)) < 2, "the dead worker still has the duty"
    assert hall.at(NOON + 1.5 * MINUTE) == ["12:01", "12:01"]
    assert hall.at(NOON + 1.9 * MINUTE) == ["12:01", "12:01"]
    assert hall.at(NOON + 2.1 * MINUTE) == ["12:01", "12:01", "12:02"], "the other is still busy"


class Away(DatabaseBroker):
    """A broker that is away."""

    def send(self, queue: str, parcels: Sequence[Parcel]) -> None:
        raise BrokerUnavailable("away")


def test_what_can_not_be_sent_is_sent_later_for_its_own_time(small_hall: Hall) -> None:
    hall = small_hall
    hall.put()
    hall.set(NOON + 1.1 * MINUTE)
    assert hall.worker(broker=Away(hall.store)).step() > 0
    assert hall.runs() == []
    assert hall.at(NOON + 1.5 * MINUTE) == ["12:01"]
    assert hall.at(NOON + 2.1 * MINUTE) == ["12:01", "12:02"]


def test_an_outage_is_caught_up_by_each_schedules_own_rule(small_hall: Hall) -> None:
    hall = small_hall
    for rule in CatchUp:
        hall.put(name=rule, catch_up=rule, cron="*/10 * * * *")
    hall.at(NOON + timedelta(minutes=35))
    told = sorted(each.message_id for each in hall.store.read(newest))
    tens = [NOON + timedelta(minutes=n) for n in (10, 20, 30)]
    one, everything = (replace(OFTEN, name=rule) for rule in ("one", "all"))
    assert told == sorted([id_of(one, tens[-1]), *(id_of(everything, each) for each in tens)])


def test_skip_and_wait_look_whether_the_run_before_has_ended(hall: Hall) -> None:
    hall.put(name="skip", overlap=Overlap.SKIP)
    hall.put(name="wait", overlap=Overlap.WAIT)
    assert hall.at(NOON + 1.1 * MINUTE) == ["12:01", "12:01"]
    assert hall.at(NOON + 2.1 * MINUTE) == ["12:01", "12:01"]
    assert hall.get(replace(OFTEN, name="wait")).waiting == NOON + 2 * MINUTE
    hall.end_all()
    assert hall.at(NOON + 2.2 * MINUTE) == ["12:01", "12:01", "12:02"]
    assert hall.get(replace(OFTEN, name="wait")).waiting is None
    hall.end_all(State.FAILED)
    assert hall.at(NOON + 3.1 * MINUTE) == ["12:01", "12:01", "12:02", "12:03", "12:03"]


def test_a_run_that_nobody_has_seen_yet_has_not_ended(small_hall: Hall) -> None:
    hall = small_hall
    hall.put(overlap=Overlap.SKIP)
    for minutes in (1.1, 2.1):
        hall.set(NOON + minutes * MINUTE)
        hall.worker().step()
    assert hall.runs() == ["12:01"]


def test_a_run_that_became_a_dead_message_has_ended(small_hall: Hall) -> None:
    hall = small_hall
    hall.put(overlap=Overlap.SKIP)
    hall.set(NOON + 1.1 * MINUTE)
    hall.worker().step()
    hall.store.write(lambda tx: apps.remove_job(tx, "media", "Report"))
    for minutes in range(2, 9):  # asked for again each minute, five times
        hall.set(NOON + minutes * MINUTE)
        assert hall.runs() == []
    hall.store.write(_define)
    assert len(hall.at(NOON + 10.1 * MINUTE)) == 1


def test_a_suspended_schedule_starts_nothing_and_catches_up_nothing(small_hall: Hall) -> None:
    hall = small_hall
    schedule = hall.put(catch_up=CatchUp.ALL)
    hall.store.write(lambda tx: schedules.suspend(tx, hall.get(schedule), "", None))
    assert hall.at(NOON + 5.1 * MINUTE) == []
    hall.put(schedule, message='{"b":2}')
    assert hall.get(schedule).suspended_at is not None
    hall.store.write(lambda tx: schedules.resume(tx, hall.get(schedule), tx.now))
    assert hall.at(NOON + 5.5 * MINUTE) == []
    assert hall.at(NOON + 6.1 * MINUTE) == ["12:06"]


def test_a_suspension_that_has_an_end_ends_by_itself_also_when_nobody_looked(
    small_hall: Hall,
) -> None:
    hall = small_hall
    schedule = hall.put(catch_up=CatchUp.ALL)
    rest = Rest("the source is being moved", 2.5 * MINUTE)
    hall.store.write(lambda tx: suspend(tx, EVERYBODY, hall.get(schedule), rest))
    assert hall.at(NOON + 2.2 * MINUTE) == []
    assert hall.at(NOON + 4.1 * MINUTE) == ["12:03", "12:04"]
    found = hall.get(schedule)
    assert (found.suspended_at, found.suspended_until, found.suspend_reason) == (None, None, None)
    ended = hall.store.read(lambda tx: audit.newest(tx, audit.Wanted(), most=1))
    assert [(each.action, each.actor) for each in ended] == [("schedule.resume", CLOCK.name)]


def test_other_times_begin_when_they_are_put_and_another_message_changes_none(
    small_hall: Hall,
) -> None:
    hall = small_hall
    schedule = hall.put(cron="*/5 * * * *")
    hall.set(NOON + 5.1 * MINUTE)
    hall.put(schedule, message='{"b":2}')
    assert hall.at(NOON + 5.2 * MINUTE) == ["12:05"]
    hall.set(NOON + 10.1 * MINUTE)
    hall.put(schedule, cron="*/6 * * * *")
    assert hall.at(NOON + 10.2 * MINUTE) == ["12:05"]
    assert hall.at(NOON + 12.1 * MINUTE) == ["12:05", "12:12"]


def test_over_both_changes_of_the_clock_a_night_has_one_run(small_hall: Hall) -> None:
    hall = small_hall
    nightly = replace(OFTEN, cron="30 2 * * *", timezone="Europe/Berlin")
    for eve, times in (
        (datetime(2027, 3, 27, 20, tzinfo=UTC), ["01:00", "00:30"]),
        (datetime(2027, 10, 30, 20, tzinfo=UTC), ["00:30", "01:30"]),
    ):
        hall.set(eve)
        schedule = hall.put(nightly, name=f"n{eve.month}")
        seen = []
        for step in range(36 * 4):
            hall.set(eve + timedelta(minutes=15 * step, seconds=20))
            hall.worker().step()
            at = hall.get(schedule).last_at
            if at is not None and f"{at:%H:%M}" not in seen:
                seen.append(f"{at:%H:%M}")
        assert seen == times
        hall.store.write(lambda tx, schedule=schedule: schedules.remove(tx, schedule))  # type: ignore[misc]
    assert len(hall.runs()) == 4


def test_a_worker_fires_what_is_due(tmp_path: Path) -> None:
    with closing(Office(tmp_path, "process:?slots=1")) as office:
        office.define("Tick", "exit 0")
        tick = Schedule("app", "Tick", "tick", "* * * * *", catch_up=CatchUp.ALL)
        office.store.shift = timedelta(minutes=-2)
        office.store.write(lambda tx: schedules.put(tx, tick))
        office.store.shift = timedelta(0)
        office.work()
        wait_until(lambda: _succeeded(office.store) == 2, "both runs have ended")


def _succeeded(store: Store) -> int:
    return sum(each.state is State.SUCCEEDED for each in store.read(newest))
