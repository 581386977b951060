"""What SQS has given up becomes dead messages, once each, whatever happens in between."""

import json
import threading
import uuid
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.broker import Parcel
from barbeque_py.identity import EVERYBODY
from barbeque_py.ids import new_message_id
from barbeque_py.intake import Intake
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.resend import resend
from barbeque_py.settings import Settings
from barbeque_py.store import Store, Tx, apps, dead
from barbeque_py.store import executions as rows
from barbeque_py.store.dead import DeadMessage
from barbeque_py.store.schema import migrate
from barbeque_py.wiring.parts import open_parts
from barbeque_worker import main
from barbeque_worker.dead_letters import DeadLetters
from tests.cloud.rig import REGION, CloudProcess
from tests.contracts.sqs_rig import SqsRig, cloud_sqs
from tests.waiting import wait_until

__all__ = ["cloud_sqs"]

QUEUE = "default"
SOON = timedelta(seconds=1)


class Post:
    """Queues in SQS, a store that knows them, and the duty by hand."""

    def __init__(self, store: Store, sqs: SqsRig, names: Sequence[str] = (QUEUE,)) -> None:
        self.store = store
        self.sqs = sqs
        self.broker = sqs.broker(visibility=SOON)
        self.queues = sqs.queues()
        for name in names:
            self.queues.ensure_queue(name)
        store.write(lambda tx: _define(tx, names))

    def duty(self, owner: str = "worker") -> DeadLetters:
        every = timedelta(seconds=0.1)
        return DeadLetters(self.store, self.broker, self.queues, owner=owner, every=every)

    def drain(self) -> None:
        """Do the duty until nothing is left to take."""
        duty = self.duty()
        while not duty.step():
            pass

    def put(self, *bodies: str, queue: str = "default-dead") -> None:
        for body in bodies:
            self.broker.send(queue, [Parcel(body=body, app="media")])

    @property
    def buried(self) -> list[DeadMessage]:
        return list(self.store.read(lambda tx: dead.newest(tx, most=1000)))

    def left(self, queue: str = "default-dead") -> int:
        depth = self.queues.depth(queue)
        return depth.visible + depth.in_flight


def _define(tx: Tx, names: Sequence[str]) -> None:
    for name in names:
        apps.put_queue(tx, Queue(name))
    apps.put_app(tx, App("media", "media:1"))
    apps.put_job(tx, JobDefinition("media", "Encode", ("true",)))


@pytest.fixture
def post(store: Store, cloud_sqs: SqsRig) -> Post:
    return Post(store, cloud_sqs)


@pytest.fixture
def small_post(sqlite_store: Store, cloud_sqs: SqsRig) -> Post:
    """On SQLite only, for what has nothing to do with the database."""
    return Post(sqlite_store, cloud_sqs)


def body_of(message_id: str) -> str:
    facts = {"Type": "JobExecution", "Application": "media", "Job": "Encode", "Message": "{}"}
    return json.dumps(facts | {"MessageId": message_id})


def give_up(post: Post, body: str) -> None:
    """Have SQS give the message up, as after twenty workers that it has killed."""
    post.put(body, queue=QUEUE)
    url = post.sqs.url(QUEUE)
    for _ in range(post.queues.most_receives):
        found = post.sqs.client.receive_message(
            QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=0
        )
        assert found["Messages"], "the message is there for each receive"
    assert "Messages" not in post.sqs.client.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    assert post.left() == 1


def test_what_was_received_too_often_is_a_dead_message_that_can_be_sent_again(
    post: Post, tmp_path: Path
) -> None:
    message_id = new_message_id()
    give_up(post, body_of(message_id))
    post.drain()
    (found,) = post.buried
    assert (found.queue, found.message_id, found.body) == (QUEUE, message_id, body_of(message_id))
    assert "received 20 times and never recorded" in found.reason
    assert post.left() == 0

    assert resend(post.store, post.broker, EVERYBODY, found.id) == message_id
    intake = Intake(post.store, post.broker, DirectoryLogStore(tmp_path))
    wait_until(lambda: intake.take(QUEUE, wait=SOON) == 1, "it is taken in")
    row = post.store.read(lambda tx: rows.by_message_id(tx, message_id))
    assert row is not None
    assert post.buried == []


def test_killed_before_the_deletion_it_is_buried_once(post: Post, calm_cloud: CloudProcess) -> None:
    post.put(*(body_of(new_message_id()) for _ in range(25)))
    calm_cloud.faults(sqs={"refuse": 1.0, "only": ["DeleteMessageBatch"]})
    post.drain()
    first = {each.broker_id for each in post.buried}
    assert 0 < len(first) <= 10
    assert post.left() == 25
    calm_cloud.calm()

    def drained() -> bool:
        post.drain()
        return post.left() == 0

    wait_until(drained, "every letter is taken")
    assert first < {each.broker_id for each in post.buried}
    assert len(post.buried) == 25


def test_what_is_recorded_already_is_only_deleted(post: Post, tmp_path: Path) -> None:
    message_id = new_message_id()
    post.put(body_of(message_id), queue=QUEUE)
    Intake(post.store, post.broker, DirectoryLogStore(tmp_path)).take(QUEUE, wait=SOON)
    post.put(body_of(message_id), "no json")
    post.drain()
    assert [each.body for each in post.buried] == ["no json"]
    assert post.left() == 0


def test_one_worker_has_the_duty_at_a_time(small_post: Post) -> None:
    small_post.put("first")
    assert small_post.duty("one").step() == 0
    small_post.put("second")
    assert small_post.duty("other").step() > 0
    assert [each.body for each in small_post.buried] == ["first"]
    while not small_post.duty("one").step():
        pass
    assert {each.body for each in small_post.buried} == {"first", "second"}


def test_a_queue_without_its_dead_letter_queue_does_not_keep_the_others_from_theirs(
    sqlite_store: Store, cloud_sqs: SqsRig
) -> None:
    post = Post(sqlite_store, cloud_sqs, names=["a", "b", "c"])
    for name in ("a-dead", "c-dead"):
        post.put("letter", queue=name)
    cloud_sqs.client.delete_queue(QueueUrl=cloud_sqs.url("b-dead"))
    post.drain()
    assert {each.queue for each in post.buried} == {"a", "c"}


def test_a_letter_that_the_database_refuses_stays_and_the_others_do_not(
    small_post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse_one(tx: Tx) -> None:
        tx.execute(
            text(
                "CREATE TRIGGER picky BEFORE INSERT ON dead_messages WHEN NEW.body = 'bad' "
                "BEGIN SELECT RAISE(ABORT, 'picky'); END"
            )
        )

    small_post.store.write(refuse_one)
    small_post.put("good", "bad", "fine")
    small_post.drain()
    assert {each.body for each in small_post.buried} == {"good", "fine"}
    assert small_post.left() == 1
    assert "can't be kept, and stays there" in caplog.text


def test_a_worker_with_sqs_has_the_duty(
    calm_cloud: CloudProcess, aws_environment: dict[str, str], tmp_path: Path
) -> None:
    given = {
        "BARBEQUE_HOME": str(tmp_path),
        "BARBEQUE_EXECUTOR": "process:?slots=1",
        "BARBEQUE_BROKER": f"sqs:?prefix=D{uuid.uuid4().hex[:8]}-",
        "AWS_REGION": REGION,
    }
    settings = Settings.from_environment(given)
    with closing(Store(settings.database, create=True)) as making:
        migrate(making)
        making.write(lambda tx: _define(tx, [QUEUE]))
    with closing(open_parts(settings)) as parts:
        assert parts.queues is not None
        parts.queues.ensure_queue(QUEUE)
        parts.broker.send("default-dead", [Parcel(body="letter", app="media")])
        stop = threading.Event()
        thread = threading.Thread(target=main.run, args=(parts,), kwargs={"stop": stop})
        thread.start()
        try:
            wait_until(lambda: parts.store.read(dead.newest), "the letter is buried")
        finally:
            stop.set()
            thread.join(60)
