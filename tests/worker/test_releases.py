"""Releases through real engines and a registry whose tags move: what runs is what was released."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from barbeque_py.apps import Revision
from barbeque_py.backoff import RetryPolicy
from barbeque_py.executors.engine import Engine
from barbeque_py.identity import EVERYBODY
from barbeque_py.registries.asking import Registries
from barbeque_py.release import Sources, release
from barbeque_py.store import revisions
from tests.contracts.registry import Registry, digest_of
from tests.images import make_test_image, pack
from tests.waiting import wait_until
from tests.worker.office import Office

pytestmark = pytest.mark.docker

SOCKET = "/var/run/docker.sock"
SLOWLY = RetryPolicy(limit=2, base_delay=timedelta(seconds=1), max_delay=None, jitter=False)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    make_test_image()
    engine = Engine(SOCKET, timeout=60)
    yield engine
    engine.close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with closing(Registry()) as registry:
        yield registry


@pytest.fixture
def office(tmp_path: Path, engine: Engine, registry: Registry) -> Iterator[Office]:
    name = f"{registry.address}/jobs"
    office = Office(tmp_path, "docker:?slots=4", image=f"{name}:latest")
    yield office
    office.close()
    for pinned in office.store.read(lambda tx: revisions.history(tx, "app")):
        engine.call("DELETE", f"/images/{pinned.pinned}?force=1")
    engine.call("DELETE", f"/images/{name}:latest?force=1")


def push(registry: Registry, version: str) -> str:
    """Let `jobs:latest` mean an image whose /version says so; return its digest."""
    return digest_of(registry.push("jobs", "latest", pack(version)))


def released(office: Office, image: str, sources: Sources | None = None) -> Revision:
    pinned = (sources or Sources()).pin(image)
    return office.store.write(lambda tx: release(tx, EVERYBODY, "app", image, pinned=pinned))


def current(office: Office) -> Revision:
    found = office.store.read(lambda tx: revisions.current(tx, "app"))
    assert found is not None
    return found


def test_a_tag_that_moves_between_attempts_changes_none_of_them(
    office: Office, registry: Registry
) -> None:
    image = f"{registry.address}/jobs:latest"
    old = push(registry, "old")
    first = released(office, image)
    assert first.pinned is None
    office.define("job", 'cat /version; [ "$BARBEQUE_RETRY_COUNT" = 1 ]', retry=SLOWLY)
    office.work()
    message_id = office.enqueue("job")
    wait_until(
        lambda: [each for each in office.attempts(message_id) if each.finished_at],
        "the first attempt has ended",
    )
    new = push(registry, "new")
    second = released(office, image)
    office.end_of(message_id)
    assert [office.log(message_id, number) for number in (1, 2)] == ["old", "old"]
    after = office.enqueue("job")
    office.end_of(after)
    assert office.log(after) == "new"
    pinned = {each.id: each.pinned for each in (current(office), first)}
    assert pinned[second.id] == f"{registry.address}/jobs@{new}"
    ran = [(each.image, each.revision) for each in office.attempts(message_id)]
    assert ran == [(f"{registry.address}/jobs@{old}", first.id)] * 2


def test_a_tag_that_moves_after_its_release_changes_nothing(
    office: Office, registry: Registry
) -> None:
    push(registry, "released")
    with closing(Registries()) as registries:
        made = released(office, "jobs:latest", Sources(registries, registry.address))
    assert made.pinned is not None
    push(registry, "moved")
    office.define("job", "cat /version")
    office.work()
    message_id = office.enqueue("job")
    office.end_of(message_id)
    assert office.log(message_id) == "released"


def test_the_default_registry_is_that_of_names_without_one(
    office: Office, registry: Registry, tmp_path: Path
) -> None:
    push(registry, "by default")
    released(office, "jobs:latest")
    office.settings = replace(office.settings, docker_registry=registry.address)
    office.define("job", "cat /version")
    office.work()
    message_id = office.enqueue("job")
    office.end_of(message_id)
    assert office.log(message_id) == "by default"


def test_a_local_image_is_pinned_by_its_id_and_rebuilding_it_changes_nothing(
    office: Office, engine: Engine
) -> None:
    local = "barbeque-local-test"

    def build(version: str) -> str:
        # An image of its own: one more name for that of all tests would take it away from them.
        path = f"/images/create?fromSrc=-&repo={local}&tag=latest&changes=ENV%20PATH%3D/bin"
        engine.call("POST", path, content=pack(version))
        return str(engine.call("GET", f"/images/{local}:latest/json").json()["Id"])

    there = build("first")
    try:
        released(office, f"{local}:latest")
        office.define("job", "cat /version")
        office.work()
        office.end_of(office.enqueue("job"))
        assert current(office).pinned == there
        assert build("again") != there
        message_id = office.enqueue("job")
        office.end_of(message_id)
        assert [each.image for each in office.attempts(message_id)] == [there]
        assert office.log(message_id) == "first"
    finally:
        engine.call("DELETE", f"/images/{local}:latest")
