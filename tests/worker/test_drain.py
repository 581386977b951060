"""A drained worker takes nothing new, and finishes what it has; so does one that stops."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from barbeque_py.acts import drain_worker
from barbeque_py.identity import EVERYBODY
from barbeque_py.store import crew, notices
from barbeque_py.store.crew import Standing
from tests.receiver import Received, Receiver, Reply
from tests.waiting import wait_until
from tests.worker.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, "process:?slots=4")
    yield office
    office.close()


def test_a_drained_worker_starts_nothing_and_finishes_what_it_has(office: Office) -> None:
    gate = office.home / "gate"
    office.define("long", f"while [ ! -e {gate} ]; do sleep 0.05; done; echo through")
    office.work()
    before = office.enqueue("long")
    office.running(before)
    [(drained, standing)] = wait_until(lambda: stand(office), "it has reported in")
    assert standing is Standing.WORKING
    office.store.write(lambda tx: drain_worker(tx, EVERYBODY, drained, draining=True))
    office.define("quick", "echo quick")
    after = office.enqueue("quick")
    assert stand(office) == [(drained, Standing.DRAINING)]
    gate.touch()
    assert office.end_of(before).state == "succeeded", "what it had, it finished"
    wait_until(lambda: stand(office) == [(drained, Standing.DRAINED)], "it has nothing left")
    assert office.attempts(after) == [], "what came later, it has left alone"
    office.work()
    assert office.end_of(after).state == "succeeded", "another has started it"
    [ran] = office.attempts(after)
    wait_until(lambda: len(stand(office)) > 1, "the other has reported in")
    other = next(name for name, _ in stand(office) if name != drained)
    assert ran.owner.endswith(other)
    held = office.enqueue("quick")
    office.end_of(held)
    office.store.write(lambda tx: drain_worker(tx, EVERYBODY, other, draining=True))
    waiting = office.enqueue("quick")
    office.store.write(lambda tx: drain_worker(tx, EVERYBODY, drained, draining=False))
    assert office.end_of(waiting).state == "succeeded", "it takes again"
    assert office.attempts(waiting)[0].owner.endswith(drained)


def test_a_worker_that_stops_ends_what_it_is_saying(office: Office) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def answer(_: Received) -> Reply:
        asked.set()
        go_on.wait(60)
        return Reply()

    office.set(BARBEQUE_WEBHOOK_ALLOW="127.0.0.0/8")
    office.define("job", "true")
    with Receiver(answer) as hook:
        stop = office.work()
        message_id = office.enqueue("job", notify={"webhook": hook.url})
        assert asked.wait(120)
        threading.Timer(1.0, go_on.set).start()
        stop()
        execution = office.execution(message_id)
        assert execution is not None
        [told] = office.store.read(lambda tx: notices.of_execution(tx, execution.id))
        assert told.state == "delivered", "given up, the next worker would say it again"
        assert len(hook.received) == 1


def stand(office: Office) -> list[tuple[str, Standing]]:
    """Return the workers' names, and how each stands."""
    members = office.store.read(crew.read).members
    return [(each.worker.name, each.standing) for each in members]
