"""Releases by HTTP: what a tag is found to mean, who may come from where, and the way back."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.registries.asking import Registries
from barbeque_py.release import Sources
from barbeque_py.store import Store, revisions
from tests.api.served import FAILURE, SUCCESS, Running, define, error_code, parts_of, serving
from tests.contracts.registry import Registry, digest_of

REVISIONS = "/v2/apps/media/revisions"
ROLLBACK = "/v2/apps/media/rollback"
FILE = """
apps:
  - name: media
    image: {image}
    jobs: [{{name: Thumbnail, command: thumbnail}}]
"""


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with closing(Registry()) as registry:
        yield registry


@pytest.fixture
def asking(sqlite_store: Store, tmp_path: Path, registry: Registry) -> Iterator[Running]:
    """An API that asks registries, and takes images from one of them only."""
    sqlite_store.write(define)
    with closing(Registries()) as registries:
        sources = Sources(registries, registry.address, (f"{registry.address}", "away.example.com"))
        with serving(parts_of(sqlite_store, tmp_path), sources=sources) as running:
            yield running


def apply(api: Running, image: str, **params: str) -> list[str]:
    """Apply the file with this image; return what changed of the app."""
    answer = api.client.post(
        "/v2/apply",
        content=FILE.format(image=image),
        params=params,
        headers={"content-type": "application/yaml"},
    )
    assert answer.status_code == 200, answer.text
    return [each["change"] for each in answer.json()["changes"] if each["kind"] == "app"]


def test_a_release_is_told_of_pinned_and_listed(api: Running) -> None:
    answer = api.post(REVISIONS, {"image": "media:2", "note": "the second"})
    assert answer.status_code == 201
    made = answer.json()
    assert made.pop("made_at").endswith("Z")
    assert made == {
        "app": "media",
        "number": 1,
        "image": "media:2",
        "pinned": None,
        "pinned_at": None,
        "current": True,
        "rollback_of": None,
        "made_by": "anybody on this machine",
        "note": "the second",
    }
    api.post(REVISIONS, {"image": "media:3"})
    api.post(ROLLBACK)
    listed = api.get(REVISIONS).json()
    shown = [(each["number"], each["image"], each["current"]) for each in listed["revisions"]]
    assert shown == [(3, "media:2", True), (2, "media:3", False), (1, "media:2", False)]
    assert [each["rollback_of"] for each in listed["revisions"]] == [1, None, None]
    assert listed["next"] is None
    page = api.get(REVISIONS, params={"limit": 1}).json()
    assert (page["revisions"][0]["number"], page["next"]) == (3, 3)
    page = api.get(REVISIONS, params={"limit": 1, "before": 3}).json()
    assert page["revisions"][0]["number"] == 2


def test_a_tag_is_pinned_at_its_release_where_its_registry_can_be_asked(
    asking: Running, registry: Registry
) -> None:
    old = digest_of(registry.push("media", "v1", b"one"))
    made = asking.post(REVISIONS, {"image": "media:v1"})
    assert made.json()["pinned"] == f"{registry.address}/media@{old}"
    same = asking.post(REVISIONS, {"image": "media:v1"})
    assert (same.status_code, same.json()["number"]) == (200, 1)
    new = digest_of(registry.push("media", "v1", b"two"))
    again = asking.post(REVISIONS, {"image": "media:v1"}).json()
    assert (again["number"], again["pinned"]) == (2, f"{registry.address}/media@{new}")
    away = asking.post(REVISIONS, {"image": "away.example.com/media:v1"})
    assert (away.status_code, away.json()["pinned"]) == (201, None)


def test_an_image_that_its_registry_lacks_is_not_released(
    asking: Running, registry: Registry
) -> None:
    answer = asking.post(REVISIONS, {"image": f"{registry.address}/there:nothing"})
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert "does not know it" in answer.json()["message"]
    assert asking.get(REVISIONS).json()["revisions"] == []


def test_images_from_elsewhere_are_refused_wherever_they_are_named(asking: Running) -> None:
    evil = "evil.example.com/media:1"
    answer = asking.post(REVISIONS, {"image": evil})
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert "BARBEQUE_REGISTRIES" in answer.json()["message"]
    answer = asking.client.post(
        "/v2/apply",
        content=FILE.format(image=evil),
        headers={"content-type": "application/yaml"},
        params={"dry_run": "1"},
    )
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert (problem["line"], problem["path"]) == (4, "apps[0].image")
    assert "evil.example.com" in problem["message"]
    assert asking.get(REVISIONS).json()["revisions"] == []


def test_a_file_with_another_image_releases_it(asking: Running, registry: Registry) -> None:
    pushed = digest_of(registry.push("media", "v7"))
    assert apply(asking, "media:v7", dry_run="1") == ["changed"]
    assert asking.get(REVISIONS).json()["revisions"] == []
    assert apply(asking, "media:v7") == ["changed"]
    assert apply(asking, "media:v7") == ["unchanged"]
    (made,) = asking.get(REVISIONS).json()["revisions"]
    assert made["pinned"] == f"{registry.address}/media@{pushed}"
    assert apply(asking, "media:unknown-there") == ["changed"]
    newest = asking.get(REVISIONS).json()["revisions"][0]
    assert (newest["image"], newest["pinned"]) == ("media:unknown-there", None)


def test_a_revision_lock_is_a_release_of_its_tag(asking: Running, registry: Registry) -> None:
    locked, latest = (
        digest_of(registry.push("media", tag, tag.encode())) for tag in ("v9", "latest")
    )
    assert asking.post("/v1/apps/media/revision_lock", {"revision": "v9"}).status_code == 201
    assert asking.client.delete("/v1/apps/media/revision_lock").status_code == 204
    found = asking.get(REVISIONS).json()["revisions"]
    assert [each["pinned"].partition("@")[2] for each in found] == [latest, locked]
    assert [each["note"] for each in found] == ["revision_lock"] * 2
    assert asking.post("/v1/apps/media/revision_lock", {"revision": "later"}).status_code == 201
    current = asking.store.read(lambda tx: revisions.current(tx, "media"))
    assert current is not None
    assert (current.image, current.pinned) == ("media:later", None)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (REVISIONS, {}, 400),
        (REVISIONS, {"image": "a b"}, 400),
        (REVISIONS, {"image": "x" * 401}, 400),
        (REVISIONS, {"image": 1}, 400),
        (REVISIONS, {"image": "media:1", "note": "x" * 1001}, 400),
        (REVISIONS, {"image": "media:1", "tag": "x"}, 400),
        ("/v2/apps/nothing/revisions", {"image": "media:1"}, 404),
        ("/v2/apps/nothing/rollback", {}, 404),
        (ROLLBACK, {"to": "1"}, 400),
        (ROLLBACK, {"to": True}, 400),
        (ROLLBACK, {"to": 0}, 400),
        (ROLLBACK, {"current": "1"}, 400),
        (ROLLBACK, {"current": 2}, 409),
        (ROLLBACK, {"to": 1 << 31}, 400),
        (ROLLBACK, {"to": 5}, 404),
    ],
)
def test_what_can_not_be_a_release_is_refused(
    small_api: Running, path: str, body: object, status: int
) -> None:
    small_api.post(REVISIONS, {"image": "media:1"})
    answer = small_api.post(path, body)
    assert answer.status_code == status, answer.text
    error_code(answer)
    assert small_api.get("/v2/apps/nothing/revisions").status_code == 404


def test_outcomes_tell_of_the_first_executions_and_of_the_newest(api: Running) -> None:
    api.post(REVISIONS, {"image": "media:1"})
    for fate in (SUCCESS, FAILURE, SUCCESS):
        api.enqueue_and_run(fate)
    api.enqueue()
    api.take_in()
    api.start()

    def told(**params: Any) -> dict[str, Any]:
        found: dict[str, Any] = api.get(f"{REVISIONS}/1/outcomes", params=params).json()
        return found

    assert told() == {
        "app": "media",
        "number": 1,
        "current": True,
        "begun": 4,
        "succeeded": 2,
        "failed": 1,
    }
    assert [told(limit=2)[name] for name in ("begun", "succeeded", "failed")] == [2, 1, 1]
    newest = told(limit=2, newest="1")
    assert [newest[name] for name in ("begun", "succeeded", "failed")] == [2, 1, 0]
    api.post(REVISIONS, {"image": "media:2"})
    assert told()["current"] is False
    assert api.get(f"{REVISIONS}/2/outcomes").json()["begun"] == 0
    assert api.get(f"{REVISIONS}/3/outcomes").status_code == 404


def test_a_retry_may_ask_for_the_image_of_today(small_api: Running) -> None:
    message_id = small_api.enqueue_and_run()
    retries = f"/v2/job_executions/{message_id}/retries"
    answer = small_api.post(retries, {"image": "newest"})
    assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter")
    assert small_api.post(retries, {"image": "current"}).status_code == 201
