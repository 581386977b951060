"""Notices exactly as promised: receivers fail, are away, and workers are killed all the while."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from barbeque_py import ids
from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.backoff import RetryPolicy
from barbeque_py.enqueue import Request, enqueue
from barbeque_py.errors import StoreUnavailable
from barbeque_py.executions import ENDED
from barbeque_py.messages import JobMessage, Options
from barbeque_py.notices import User
from barbeque_py.settings import Settings
from barbeque_py.store import (
    Store,
    Tx,
    address_book,
    apps,
    notices,
    outbox,
    schema,
    signing_secrets,
)
from barbeque_py.store import executions as rows
from barbeque_py.store.notices import Kept
from barbeque_py.wiring.front import Front, open_front
from tests.crash.workers import Workers
from tests.flows.place import free_port
from tests.notices.mailroom import CUT, OK, TAKEN_AND_CUT, Mailroom, MailServer
from tests.notices.slack_place import TOKEN, Answer, SlackPlace, serve_slack
from tests.receiver import Received, Receiver, Reply

USERS = 20
FAILING = 0.2
THREADS = 8
"""How many deliveries a worker has under way at most."""


class Program(Receiver):
    """An app's receiver of webhooks, which knows a repeat by its id alone."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = ""
        self.taken: Counter[str] = Counter()
        self.bodies: dict[str, set[bytes]] = {}
        self.forged: list[Received] = []
        self.lost = 0
        """How many requests were taken without an answer."""

    def take(self, request: Received, *, lost: bool = False) -> None:
        """Do what is asked for; a repeat is counted and known by its id."""
        try:
            Webhook(self.secret).verify(request.body, dict(request.headers))
        except WebhookVerificationError:
            self.forged.append(request)
        number = request.headers["webhook-id"]
        self.taken[number] += 1
        self.bodies.setdefault(number, set()).add(request.body)
        self.lost += lost


@dataclass
class Receivers:
    """A mail server, a Slack and a program: each fails a fifth of the time, all are away once."""

    mail: MailServer
    slack: SlackPlace
    program: Program
    chance: random.Random = field(default_factory=lambda: random.Random(4))
    guard: threading.Lock = field(default_factory=threading.Lock)
    away: bool = False
    failures: Counter[str] = field(default_factory=Counter)

    def answer_mail(self, _recipient: str, stage: str) -> str:
        with self.guard:
            if stage == "rcpt" or self.chance.random() >= FAILING:
                return OK
            fault = self.chance.choice(["451 later", CUT, TAKEN_AND_CUT])
            self.failures[f"mail: {fault}"] += 1
            return fault

    def answer_slack(self, _channel: str) -> Answer | None:
        with self.guard:
            if self.away:
                self.failures["slack: away"] += 1
                return Answer(cut=True)
            if self.chance.random() >= FAILING:
                return None
            kind = self.chance.choice(["503", "429", "cut", "taken, cut"])
            self.failures[f"slack: {kind}"] += 1
        match kind:
            case "503":
                return Answer(503, "busy")
            case "429":
                return Answer(429, "ratelimited", {"Retry-After": "1"})
            case _:
                return Answer(cut=True, taken=kind != "cut")

    def answer_program(self, request: Received) -> Reply:
        with self.guard:
            if self.away:
                self.failures["webhook: away"] += 1
                return Reply(cut=True)
            fault = ""
            if self.chance.random() < FAILING:
                fault = self.chance.choice(["503", "429", "cut", "taken, cut"])
                self.failures[f"webhook: {fault}"] += 1
            if fault in {"", "taken, cut"}:
                self.program.take(request, lost=bool(fault))
        match fault:
            case "":
                return Reply(204)
            case "503":
                return Reply(503)
            case "429":
                return Reply(429, headers={"Retry-After": "1"})
            case _:
                return Reply(cut=True)

    def go_away(self, seconds: float) -> None:
        self.mail.stop()
        self.away = True
        time.sleep(seconds)
        self.away = False
        self.mail.start()

    def received(self) -> Counter[str]:
        """Count how often each notice came."""
        posted = Counter(each.id for each in self.slack.messages)
        return self.mail.room.counts() + posted + self.program.taken

    def lost(self) -> int:
        """Count the answers that never reached us, of what was taken."""
        return self.mail.room.lost + self.slack.lost + self.program.lost


@contextmanager
def receiving() -> Iterator[Receivers]:
    room = Mailroom(free_port())
    with serve_slack() as slack, Program() as program:
        receivers = Receivers(MailServer(room), slack, program)
        room.answer = receivers.answer_mail
        slack.answer = receivers.answer_slack
        program.answer = receivers.answer_program
        receivers.mail.start()
        try:
            yield receivers
        finally:
            receivers.mail.stop()


def define(tx: Tx, program: str) -> str:
    """Define the jobs, whom they tell, and the users; return the secret that signs."""
    apps.put_queue(tx, Queue("default"))
    rules: dict[str, object] = {
        "email": ["team@example.com"],
        "slack": "#media",
        "webhook": f"{program}/app",
        "digest": "0s",
    }
    apps.put_app(tx, App("drill", "", notify=rules))
    once = RetryPolicy(limit=0)
    apps.put_job(tx, JobDefinition("drill", "good", ("sh", "-c", "echo fine"), retry=once))
    apps.put_job(tx, JobDefinition("drill", "bad", ("sh", "-c", "echo no; exit 3"), retry=once))
    for number in range(USERS):
        address_book.put(tx, User("drill", f"u-{number}", (f"user{number}@example.com",)))
    return signing_secrets.of_app(tx, "drill")[0].secret


def ask(front: Front, number: int, program: str) -> tuple[str, int]:
    """Enqueue a job, each fifth one with a webhook of its own; return whom it is to tell."""
    message_id, name = ids.new_message_id(), "bad" if number % 10 < 3 else "good"
    own: dict[str, Any] = {"webhook": f"{program}/{number}"} if number % 5 == 0 else {}
    options = Options(user_id=f"u-{number % USERS}", notify=own)
    job = JobMessage(message_id, "drill", name, "default", "{}", options=options)
    enqueue(front.broker, front.logs, [Request(job, "default")])
    front.bell.ring()
    return message_id, (4 if name == "bad" else 1) + len(own)


def is_all_over(store: Store, wanted: dict[str, int]) -> bool:
    try:
        undone = store.read(outbox.oldest_due)
        found = store.read(lambda tx: rows.many_by_message_id(tx, wanted))
    except StoreUnavailable:
        return False
    ended = all(each.state in ENDED for each in found.values())
    return undone is None and len(found) == len(wanted) and ended


@pytest.mark.parametrize(
    ("jobs", "kills"),
    [
        pytest.param(100, 5, id="short"),
        pytest.param(1000, 50, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(0)]),
    ],
)
def test_every_notice_comes_once_or_twice_where_an_answer_was_lost(
    tmp_path: Path, jobs: int, kills: int
) -> None:
    with receiving() as receivers:
        environment = environment_of(tmp_path, receivers)
        settings = Settings.from_environment(environment)
        with closing(Store(settings.database, create=True)) as store:
            schema.migrate(store)
            program = receivers.program
            program.secret = store.write(lambda tx: define(tx, program.url))
            with closing(open_front(settings)) as front:
                wanted, killed = drill(front, receivers, environment, jobs, kills)
            judge(store, receivers, wanted, killed)
    assert killed >= kills


def environment_of(home: Path, receivers: Receivers) -> dict[str, str]:
    return {
        "BARBEQUE_HOME": str(home),
        "BARBEQUE_LEASE": "3s",
        "BARBEQUE_EXECUTOR": "process:?slots=4",
        "BARBEQUE_MAIL": f"smtp://127.0.0.1:{receivers.mail.room.port}",
        "BARBEQUE_MAIL_FROM": "jobs@example.com",
        "BARBEQUE_SLACK": TOKEN,
        "BARBEQUE_SLACK_API": receivers.slack.api,
        "BARBEQUE_WEBHOOK_ALLOW": "127.0.0.1",
        "PATH": os.environ["PATH"],  # noqa: TID251 - the test's own
    }


def drill(
    front: Front, receivers: Receivers, environment: dict[str, str], jobs: int, kills: int
) -> tuple[dict[str, int], int]:
    """Enqueue, kill and be away, all at once; return how many each execution is to tell."""
    workers, wanted = Workers(), dict[str, int]()
    home = front.settings.home
    journal, points = home / "points", ["before a delivery", "after a delivery"]
    journal.touch()
    order: dict[str, Any] = {
        "environment": environment,
        "journal": str(journal),
        "log": str(home / "workers.log"),
        "mutant": "",
        "seed": 7,
    }
    dealt = cycle(points)
    until, next_kill, away = time.monotonic() + 1200, time.monotonic() + 1, False
    while time.monotonic() < until:
        workers.listen()
        killing = workers.killed < kills or not set(points) <= set(journal.read_text().splitlines())
        while len(workers.alive) < 2:
            point = next(dealt) if killing else ""
            workers.order(**order, point=point, passes=random.randint(0, 3))
        if len(wanted) < jobs * (workers.killed + 1) / kills if killing else len(wanted) < jobs:
            wanted |= dict([ask(front, len(wanted), receivers.program.url)])
        if killing and time.monotonic() > next_kill:
            workers.kill_one()
            next_kill = time.monotonic() + random.uniform(0.4, 1.6)
        if not away and workers.killed >= kills // 2:
            away = True
            threading.Thread(target=receivers.go_away, args=(4.0,)).start()
        # More than `jobs` where a point took more kills than were planned.
        if len(wanted) >= jobs and not killing and is_all_over(front.store, wanted):
            break
        time.sleep(0.01)
    assert workers.end() == []
    return wanted, workers.killed


def judge(store: Store, receivers: Receivers, wanted: dict[str, int], killed: int) -> None:
    """Compare what was to be told, what is recorded, and what came."""
    received = receivers.received()
    for message_id, count in wanted.items():
        made = made_of(store, message_id)
        assert len(made) == count, f"of {message_id} {count} are to be told, not {made}"
        for each in made:
            assert each.state == "delivered", each
            assert received[each.notice_id] >= 1, f"{each} never came"
            record = store.read(lambda tx, number=each.id: notices.deliveries_of(tx, number))  # type: ignore[misc]
            outcomes = [sent.outcome for sent in record]
            assert (outcomes.count("delivered"), outcomes[-1]) == (1, "delivered"), outcomes
    doubles = sum(received.values()) - len(received)
    by_receivers = receivers.lost()
    by_kills = doubles - by_receivers
    print(
        f"{len(wanted)} executions, {killed} kills, {sum(wanted.values())} notices to be told, "
        f"{len(received)} came, 0 lost; {sum(received.values())} deliveries were taken: "
        f"{doubles} doubles, each with its id, for {by_receivers} answers that receivers lost and "
        f"{by_kills} that killed workers did not keep; "
        f"failures of the receivers: {dict(sorted(receivers.failures.items()))}"
    )
    assert len(received) == sum(wanted.values()), "nothing came that nobody was to be told"
    assert 0 <= by_kills <= killed * THREADS, "a double is an answer that was lost, and no other"
    assert receivers.program.forged == []
    assert all(len(each) == 1 for each in receivers.program.bodies.values()), "repeats are the same"


def made_of(store: Store, message_id: str) -> list[Kept]:
    def read(tx: Tx) -> list[Kept]:
        execution = rows.by_message_id(tx, message_id)
        assert execution is not None
        return notices.of_execution(tx, execution.id)

    return store.read(read)
