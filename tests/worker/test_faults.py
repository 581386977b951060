"""What a worker does when what it stands on gives way."""

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from barbeque_py.backoff import RetryPolicy
from barbeque_py.broker import Parcel
from barbeque_py.executions import Stage
from barbeque_py.executor import Executor, Launch, Sighting
from barbeque_py.ids import attempt_id, new_message_id
from barbeque_py.store import apps, dead, revisions
from tests.contracts.own_engine import OwnEngine
from tests.images import make_test_image
from tests.waiting import wait_until
from tests.worker.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, "process:?slots=4")
    yield office
    office.close()


@pytest.fixture
def docker_office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, "docker:?slots=4", image=make_test_image())
    yield office
    office.close()


@pytest.fixture
def engine() -> Iterator[OwnEngine]:
    engine = OwnEngine()
    yield engine
    engine.close()


@pytest.mark.docker
def test_an_engine_that_is_away_is_waited_for_and_costs_no_attempt(
    tmp_path: Path, engine: OwnEngine
) -> None:
    image = make_test_image(engine.socket)
    office = Office(tmp_path, f"docker:?slots=2&socket={engine.socket}", image=image)
    office.define("job", "echo hello")
    try:
        office.work()
        first = office.enqueue("job")
        assert office.end_of(first).state == "succeeded"
        engine.stop()
        second = office.enqueue("job")
        time.sleep(2)
        engine.start()
        execution = office.end_of(second, seconds=120)
        assert (execution.state, execution.counted, execution.uncounted) == ("succeeded", 1, 0)
    finally:
        office.close()


@pytest.mark.docker
def test_a_job_cut_off_by_its_engine_runs_again_without_losing_a_try(
    tmp_path: Path, engine: OwnEngine
) -> None:
    image = make_test_image(engine.socket)
    office = Office(tmp_path, f"docker:?slots=2&socket={engine.socket}", image=image)
    office.define("job", "echo hello; sleep 3", retry=RetryPolicy(limit=0))
    try:
        office.work()
        message_id = office.enqueue("job")
        office.running(message_id)
        engine.kill()
        time.sleep(1)
        engine.start()
        execution = office.end_of(message_id, seconds=120)
        assert (execution.state, execution.counted, execution.uncounted) == ("succeeded", 1, 1)
        assert [each.reason for each in office.attempts(message_id)] == ["interrupted", "exited"]
    finally:
        office.close()


@pytest.mark.docker
def test_a_container_that_somebody_removed_has_vanished_and_is_tried_again(
    docker_office: Office,
) -> None:
    docker_office.define("job", '[ "$BARBEQUE_RETRY_COUNT" = 1 ] || sleep 60')
    docker_office.work()
    message_id = docker_office.enqueue("job")
    attempt = docker_office.running(message_id)
    docker_office.parts.executor.stop(attempt.id, kill=True)
    execution = docker_office.end_of(message_id)
    assert execution.state == "succeeded"
    assert [each.exit_code for each in docker_office.attempts(message_id)] == [137, 0]


@pytest.mark.docker
def test_a_missing_image_fails_naming_image_and_cure(docker_office: Office) -> None:
    office = docker_office
    office.define("job", "true", retry=RetryPolicy(limit=0))
    gone = "localhost/no/such:image@sha256:00"
    office.store.write(lambda tx: revisions.add(tx, "app", gone, pinned=None, made_by="a test"))
    office.work()
    message_id = office.enqueue("job")
    execution = office.end_of(message_id)
    (attempt,) = office.attempts(message_id)
    assert (execution.state, execution.could_not_start) == ("failed", True)
    assert "no/such" in (attempt.detail or "")


def test_a_log_store_that_is_full_is_tried_again_until_the_log_is_kept(office: Office) -> None:
    office.define("job", "echo kept")
    logs = office.home / "logs"
    logs.write_text("in the way")
    office.work()
    message_id = office.enqueue("job")
    wait_until(
        lambda: (execution := office.execution(message_id)) and execution.state == "succeeded",
        "the job has ended although its log can't be kept",
    )
    time.sleep(1)
    assert office.attempts(message_id)[0].log_sealed_at is None
    logs.unlink()
    office.end_of(message_id)
    assert office.log(message_id) == "kept\n"


def test_what_ran_before_the_machine_was_restarted_was_interrupted_and_runs_again(
    office: Office,
) -> None:
    office.define(
        "job",
        '[ -e "$DONE" ] || { touch "$DONE"; sleep 60; }',
        env={"DONE": str(office.home / "done")},
    )
    end = office.work()
    message_id = office.enqueue("job")
    attempt = office.running(message_id)
    end()
    _reboot(office, attempt.id)
    office.work()
    execution = office.end_of(message_id)
    assert (execution.state, execution.counted, execution.uncounted) == ("succeeded", 1, 1)
    assert [each.reason for each in office.attempts(message_id)] == ["interrupted", "exited"]


def _reboot(office: Office, attempt: str) -> None:
    """Make the attempt look as after a reboot: its processes gone, its marks of another boot."""
    (folder,) = office.home.glob(f"processes/*/{attempt}")
    for name in ("started", "child"):
        mark = json.loads((folder / name).read_text())
        os.kill(mark["pid"], signal.SIGKILL)
        if "boot" in mark:
            (folder / name).write_text(json.dumps(mark | {"boot": "another"}))
    place = office.parts.executor.place()
    kind, host, _, namespace = place.split(":")
    former = f"{kind}:{host}:another:{namespace}"
    from sqlalchemy import text  # noqa: PLC0415 - a test may move a row as no verb would

    office.store.write(
        lambda tx: tx.execute(text("UPDATE attempts SET place = :former"), {"former": former})
    )
    office.store.write(
        lambda tx: tx.execute(
            text("UPDATE attempts SET scopes = replace(scopes, :place, :former)"),
            {"place": place, "former": former},
        )
    )
    office.store.write(
        lambda tx: tx.execute(
            text("UPDATE limits SET scope = :former WHERE scope = :place"),
            {"place": f"place:{place}", "former": f"place:{former}"},
        )
    )


def test_what_runs_without_a_row_is_asked_to_stop(office: Office) -> None:
    message_id = new_message_id()
    stranger = Launch(
        attempt=attempt_id(message_id, 1),
        message_id=message_id,
        number=1,
        app="app",
        job="job",
        image="",
        command=("sh", "-c", "sleep 60"),
        environment={},
        timeout=100,
        grace=1,
    )
    office.parts.executor.start(stranger, "{}")
    office.work()
    wait_until(
        lambda: office.parts.executor.sightings([stranger.attempt])[stranger.attempt].fate,
        "the stranger has ended",
    )


def test_an_unknown_job_is_dead_after_a_while_and_can_be_sent_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barbeque_py.record._UNKNOWN_JOB_WAIT", timedelta(seconds=0.05))
    office.work()
    message_id = office.enqueue("later")
    (buried,) = wait_until(lambda: office.store.read(dead.newest), "the message is dead")
    assert buried.message_id == message_id
    assert "no job later is defined in the app app" in buried.reason
    office.define("later", "true")
    office.parts.broker.send("default", [Parcel(buried.body, "app")])
    office.parts.bell.ring()
    assert office.end_of(message_id).state == "succeeded"


class _Stumbles:
    """An executor whose first start breaks in a way that nobody foresaw."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._stumbled = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def start(self, launch: Launch, message: str) -> Sighting:
        if not self._stumbled:
            self._stumbled = True
            raise RuntimeError("nobody foresaw this")
        return self._executor.start(launch, message)


def test_a_start_that_broke_is_made_again_by_the_worker_that_holds_its_lease(
    office: Office,
) -> None:
    office.define("job", "true")
    office.work(wrap=lambda executor: cast("Executor", _Stumbles(executor)))
    message_id = office.enqueue("job")
    execution = office.end_of(message_id, seconds=120)
    assert (execution.state, execution.attempts) == ("succeeded", 1)


def test_a_message_that_is_gone_from_the_log_store_fails_the_job_naming_it(office: Office) -> None:
    office.define("job", "true", retry=RetryPolicy(limit=0))
    office.store.write(lambda tx: apps.pause_queue(tx, "default"))
    office.work()
    message_id = office.enqueue("job", json.dumps("x" * 50_000))
    office.staged(message_id, Stage.READY)
    (message,) = office.home.glob(f"logs/app/job/{message_id}/message.json")
    message.unlink()
    office.store.write(lambda tx: apps.resume_queue(tx, "default"))
    office.parts.bell.ring()
    assert office.end_of(message_id).could_not_start
    assert "message.json" in (office.attempts(message_id)[0].detail or "")
