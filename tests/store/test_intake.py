"""Messages become executions: every one is recorded or kept dead with its reason."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from barbeque_py import clock
from barbeque_py.broker import Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.errors import NoSuchLog, StoreUnavailable
from barbeque_py.executions import State
from barbeque_py.ids import new_message_id
from barbeque_py.intake import INLINE, Intake
from barbeque_py.logs import message_key
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.store import Store, dead, lanes
from barbeque_py.store import executions as rows
from tests.store.world import (
    QUEUE,
    SUCCESS,
    a_body,
    a_delivery,
    an_execution,
    claim_one,
    define,
    end,
    enqueue,
    everything,
    find,
    later,
    row,
    take_in,
)

LARGE = json.dumps("x" * INLINE)
OTHER_LARGE = json.dumps("y" * INLINE)
NOTE = "a repeat of this message with other content was ignored"

UNREADABLE = [
    "",
    "not json",
    "[]",
    "null",
    '"text"',
    "{}",
    '{"Type":"Nonsense"}',
    '{"Type":7}',
    '{"Type":"JobExecution"}',
    '{"Type":"JobExecution","Application":"media","Job":"Encode","Message":null}',
    '{"Type":"JobExecution","Application":7,"Job":"Encode","Message":{}}',
    '{"Type":"JobExecution","Application":"media","Job":["Encode"],"Message":{}}',
    '{"Type":"JobExecution","Application":"media","Job":"En code","Message":{}}',
    '{"Type":"JobExecution","Application":"media","Job":"Encode","Message":{},"MessageId":1}',
    '{"Type":"JobExecution","V":"1","Application":"media","Job":"Encode","Message":{}}',
    '{"Type":"JobExecution","V":1,"Application":"media","Job":"Encode","Message":{},"Options":[]}',
    '{"Type":"JobRetry"}',
    '{"Type":"JobRetry","RetryMessageId":"../../etc"}',
    '{"Type":"Notification","TopicArn":"arn:t","Message":"not json"}',
    '{"Type":"Notification","TopicArn":"arn:t","Message":"{}"}',
]


class Site:
    """A store with its queues and a log store, and the intake between them."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.broker = DatabaseBroker(store)
        self.logs = DirectoryLogStore(folder / "logs")
        self.intake = Intake(store, self.broker, self.logs)

    def send(self, *bodies: str) -> None:
        """Put bodies on the queue."""
        self.broker.send(QUEUE, [Parcel(body, "media") for body in bodies])

    def take(self) -> int:
        """Take in everything that is visible."""
        taken = 0
        while size := self.intake.take(QUEUE, wait=timedelta(0)):
            taken += size
        return taken

    @property
    def left(self) -> int:
        """How many messages are still on the queue."""
        return self.store.read(lambda tx: lanes.depth(tx, QUEUE))

    @property
    def buried(self) -> list[dead.DeadMessage]:
        """The dead messages, the newest first."""
        return list(self.store.read(dead.newest))


@pytest.fixture
def site(store: Store, tmp_path: Path) -> Site:
    define(store)
    return Site(store, tmp_path)


def test_a_message_becomes_an_execution_and_leaves_the_queue(site: Site) -> None:
    before = clock.now()
    body = a_body(message='{"disc":[1,2]}', priority=3, user_id="u1")
    site.send(body)
    assert (site.take(), site.left) == (1, 0)
    (found,) = everything(site.store)
    assert (found.app, found.job, found.queue) == ("media", "Encode", QUEUE)
    assert (found.state, found.message, found.priority_rank) == (
        State.QUEUED,
        '{"disc":[1,2]}',
        -3,
    )
    assert found.options == {"user_id": "u1"}
    assert abs(found.recorded_at - before) < timedelta(minutes=1)


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_can_not_be_read_is_kept_dead_with_its_reason(site: Site, body: str) -> None:
    good = a_body()
    site.send(body, good)
    assert site.take() == 2
    assert (site.left, len(everything(site.store))) == (0, 1)
    (found,) = site.buried
    assert found.body == body
    assert len(found.reason) > 10


def test_a_dead_message_is_known_by_the_id_its_sender_was_told(site: Site) -> None:
    message_id = str(new_message_id())
    site.send(json.dumps({"Type": "Nonsense", "MessageId": message_id}))
    site.take()
    assert site.store.read(lambda tx: dead.is_dead(tx, message_id))
    number = site.buried[0].id
    assert site.store.write(lambda tx: dead.drop(tx, number))
    assert not site.store.write(lambda tx: dead.drop(tx, number))


def test_an_unknown_job_is_put_off_and_dead_the_fifth_time(site: Site) -> None:
    site.send(a_body(job="Unknown"))
    for time in range(4):
        assert site.take() == 1, time
        assert site.take() == 0, "it is hidden"
        assert (site.left, site.buried) == (1, [])
        later(site.store, seconds=61)
    assert site.take() == 1
    assert site.left == 0
    assert "no job Unknown is defined in the app media" in site.buried[0].reason


def test_a_job_that_is_defined_meanwhile_is_taken_in(site: Site) -> None:
    site.send(a_body(job="Late"))
    site.take()
    define(site.store, job="Late")
    later(site.store, seconds=61)
    site.take()
    assert [each.job for each in everything(site.store)] == ["Late"]


@pytest.mark.parametrize(
    "change",
    [{"V": 2}, {"Options": {"from_the_future": 1}}, {"Novelty": 1}, {"V": 1, "Type": "JobBatch"}],
)
def test_a_newer_senders_message_waits_an_hour_for_a_newer_worker(
    site: Site, change: dict[str, object]
) -> None:
    site.send(json.dumps(json.loads(a_body()) | change))
    for _ in range(12):
        assert site.take() == 1
        assert (site.left, site.buried, everything(site.store)) == (1, [], [])
        later(site.store, minutes=5, seconds=1)
    site.take()
    assert site.left == 0
    assert "within an hour" in site.buried[0].reason


def test_a_message_sent_twice_is_one_execution(site: Site) -> None:
    body = a_body()
    site.send(body, body, body)
    site.take()
    site.send(body)
    site.take()
    assert [each.note for each in everything(site.store)] == [None]
    assert site.left == 0


def test_a_repeat_after_the_end_changes_nothing(site: Site) -> None:
    body = a_body()
    site.send(body)
    site.take()
    end(site.store, claim_one(site.store), SUCCESS)
    before = everything(site.store)
    site.send(body)
    site.take()
    assert everything(site.store) == before


@pytest.mark.parametrize("apart", [True, False])
def test_the_first_content_wins_and_another_is_noted(site: Site, apart: bool) -> None:
    message_id = str(new_message_id())
    for message in ("1", "2"):
        site.send(a_body(message_id=message_id, message=message))
        if apart:
            site.take()
    site.take()
    found = find(site.store, message_id)
    assert (found.message, found.note) == ("1", NOTE)


def test_a_repeat_for_another_job_is_noted(site: Site) -> None:
    define(site.store, job="Thumbnail")
    message_id = str(new_message_id())
    for job in ("Encode", "Thumbnail"):
        site.send(a_body(job=job, message_id=message_id))
        site.take()
    found = find(site.store, message_id)
    assert (found.job, found.note) == ("Encode", NOTE)


def test_a_large_message_is_in_the_log_store_before_its_row(site: Site) -> None:
    small, message_id = a_body(message=json.dumps("x" * (INLINE - 2))), str(new_message_id())
    site.send(a_body(message_id=message_id, message=LARGE), small)
    site.take()
    large, inline = by_size(site.store)
    key = message_key("media", "Encode", message_id)
    assert (large.message, large.message_key) == (None, key)
    assert site.logs.read(key).decode() == LARGE
    assert (inline.message_key, len(inline.message or "")) == (None, INLINE)
    assert site.left == 0


def by_size(store: Store) -> tuple[rows.Execution, rows.Execution]:
    """Return the execution whose message is in the log store, and the one that has its own."""
    large, inline = sorted(everything(store), key=lambda each: each.message is not None)
    return large, inline


def test_a_large_message_whose_log_store_fails_stays_on_the_queue(
    store: Store, tmp_path: Path
) -> None:
    define(store)
    (tmp_path / "logs").write_text("a file where the folder should be")
    site = Site(store, tmp_path)
    site.send(a_body(message=LARGE))
    with pytest.raises(Exception, match="BARBEQUE_LOGS"):
        site.take()
    assert (site.left, everything(store)) == (1, [])
    (tmp_path / "logs").unlink()
    later(store, seconds=61)
    site.take()
    assert [each.message_key is None for each in everything(store)] == [False]


def test_a_large_repeat_with_other_content_leaves_the_first_content(site: Site) -> None:
    message_id = str(new_message_id())
    for message in (LARGE, OTHER_LARGE):
        site.send(a_body(message_id=message_id, message=message))
        site.take()
    key = find(site.store, message_id).message_key
    assert key is not None
    assert site.logs.read(key).decode() == LARGE


def test_a_small_repeat_of_a_large_message_is_noted_and_the_other_way_round(site: Site) -> None:
    for messages in ((LARGE, "1"), ("1", LARGE)):
        message_id = str(new_message_id())
        for message in messages:
            site.send(a_body(message_id=message_id, message=message))
            site.take()
        assert find(site.store, message_id).note == NOTE


def test_the_key_of_a_large_message_of_longest_names_fits_its_row(store: Store) -> None:
    name = "A" + ":" * 127
    key = message_key(name, name, str(new_message_id()))
    number = an_execution(store, app=name, job=name, message=None, message_key=key)
    assert row(store, number).message_key == key


def test_the_largest_options_the_api_accepts_fit_their_row(site: Site) -> None:
    tags = {f"{number:03}" + "\N{SNOWMAN}" * 125: "\N{BANANA}" * 256 for number in range(50)}
    address = f"{'a' * 60}@{'b' * 60}.{'c' * 60}.example"
    site.send(a_body(tags=tags, notify={"email": [address] * 50}))
    site.take()
    assert site.buried == []
    assert everything(site.store)[0].options["tags"] == tags


@contextmanager
def refusing(store: Store, job: str) -> Iterator[None]:
    """Let the database itself refuse executions of this job."""
    if store.sqlite:
        refuse = f"""CREATE TRIGGER refuse BEFORE INSERT ON executions WHEN NEW.job = '{job}'
                     BEGIN SELECT RAISE(ABORT, 'refused by a rule'); END"""
        accept = "DROP TRIGGER refuse"
    else:
        refuse = f"ALTER TABLE executions ADD CONSTRAINT refuse CHECK (job <> '{job}')"
        accept = "ALTER TABLE executions DROP CONSTRAINT refuse"
    store.write(lambda tx: tx.execute(text(refuse)))
    try:
        yield
    finally:
        store.write(lambda tx: tx.execute(text(accept)))


@pytest.mark.parametrize("padding", [0, INLINE])
def test_a_row_that_the_database_refuses_is_dead_and_no_other(site: Site, padding: int) -> None:
    define(site.store, job="Poison")
    message = json.dumps("x" * padding)
    bodies = [a_body(message=message) for _ in range(7)]
    poison = a_body(job="Poison", message=message)
    site.send(*bodies[:4], poison, *bodies[4:])
    with refusing(site.store, "Poison"):
        assert site.take() == 8
    assert (site.left, len(everything(site.store))) == (0, 7)
    (found,) = site.buried
    assert found.body == poison
    assert "the database refused it" in found.reason
    assert "INSERT" not in found.reason


def test_a_database_that_is_away_buries_nothing(site: Site) -> None:
    deliveries = [a_delivery(a_body())]
    site.store.write(lambda tx: tx.execute(text("ALTER TABLE executions RENAME TO hidden")))
    try:
        with pytest.raises(StoreUnavailable):
            site.intake.record(deliveries)
    finally:
        site.store.write(lambda tx: tx.execute(text("ALTER TABLE hidden RENAME TO executions")))
    assert site.buried == []


def test_a_retry_by_message_starts_a_round_once(site: Site) -> None:
    message_id = enqueue(site.store)
    end(site.store, claim_one(site.store), SUCCESS)
    again = a_retry(message_id)
    site.send(again, again)
    site.take()
    site.send(again)
    site.take()
    assert find(site.store, message_id).round == 2
    assert (site.left, site.buried) == (0, [])


@pytest.mark.parametrize("known", [True, False])
def test_a_retry_that_can_not_be_had_is_dead(site: Site, known: bool) -> None:
    message_id = enqueue(site.store) if known else str(new_message_id())
    site.send(a_retry(message_id))
    site.take()
    assert site.left == 0
    assert "the retry can't be had" in site.buried[0].reason
    retry_id = str(json.loads(site.buried[0].body)["MessageId"])
    assert site.store.read(lambda tx: rows.by_message_id(tx, retry_id)) is None


def a_retry(message_id: str) -> str:
    """Write a JobRetry as Barbeque does, with an id of its own."""
    return json.dumps(
        {"Type": "JobRetry", "RetryMessageId": message_id, "MessageId": str(new_message_id())}
    )


def test_barbeques_own_message_is_known_by_the_brokers_id(site: Site) -> None:
    delivery = a_delivery(
        '{"Type":"JobExecution","Application":"media","Job":"Encode","Message":{"a":1}}'
    )
    site.intake.record([delivery])
    site.intake.record([delivery])
    assert [each.message_id for each in everything(site.store)] == [delivery.broker_id]


def test_no_message_of_a_dead_batch_leaves_a_log_behind(site: Site) -> None:
    message_id = str(new_message_id())
    site.send(a_body(job="Unknown", message_id=message_id, message=LARGE))
    site.take()
    with pytest.raises(NoSuchLog):
        site.logs.read(message_key("media", "Encode", message_id))


def test_a_batch_in_any_order_meets_no_deadlock(store: Store, other_store: Store) -> None:
    define(store)
    bodies = [a_body() for _ in range(10)]
    take_in(store, *bodies)
    take_in(other_store, *reversed(bodies))
    assert len(everything(store)) == 10
