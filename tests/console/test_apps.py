"""Apps and their releases: what ran when, how it fared, and the way forward and back."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from barbeque_py.apps import JobDefinition
from barbeque_py.errors import UnknownImage
from barbeque_py.release import Sources
from barbeque_py.store import Tx, apps, audit, revisions
from tests.console.releases import FIRST, SECOND, fill_releases, make_known
from tests.console.rigs import Place, open_place, serve_console

APP = "/apps/media"


class Registry:
    """Knows one tag, and that another is nothing."""

    def digest_of(self, image: str) -> str | None:
        if image.endswith(":lost"):
            raise UnknownImage(f"{image} is not in its registry")
        return "sha256:" + "c" * 64 if image.endswith(":3") else None


@pytest.fixture
def place(tmp_path: object) -> Iterator[Place]:
    with open_place(tmp_path) as found:  # type: ignore[arg-type]
        sources = Sources(Registry(), None, ("registry.example.com",))
        yield replace(found, parts=replace(found.parts, sources=sources))


def current(place: Place) -> tuple[int, str, str | None]:
    found = place.store.read(lambda tx: revisions.current(tx, "media"))
    assert found is not None
    return found.number, found.image, found.pinned


def trail(place: Place) -> list[str]:
    rows = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(app="media")))
    return [row.action for row in rows]


def test_an_app_tells_what_it_runs_since_when_and_how_that_fares(
    place: Place, browser: httpx.Client
) -> None:
    assert "It was never released" in browser.get(APP).text
    fill_releases(place)
    listed = browser.get("/apps").text
    assert "registry.example.com/media:2" in listed
    assert "sha256:bbbb" in listed
    page = browser.get(APP).text
    for said in ("6 of 6 failed", "0 of 6 failed", "chance alone would rarely", "as planned"):
        assert said in page, said
    assert "https://hooks.example.com/***" in page
    assert "canary" not in page
    assert page.count('href="/apps/media/rollback?to=1"') == 1
    one = browser.get(f"{APP}/releases/2").text
    assert f'title="{FIRST}"' in one
    assert f'title="{SECOND}"' in one
    assert one.count("/job_executions/") >= 6
    assert browser.get("/search?q=media").headers["location"] == APP
    hook = JobDefinition("media", "Hook", (), callback="https://hooks.example.com/canary")
    place.store.write(lambda tx: apps.put_job(tx, hook))
    page = browser.get("/jobs/media/Hook").text
    assert "https://hooks.example.com/***" in page
    assert "canary" not in page
    for lost in ("/apps/nobody", f"{APP}/releases/9", f"{APP}/releases/x"):
        assert browser.get(lost).status_code == 404, lost


def test_a_release_is_looked_at_and_made_and_leaves_a_trail(
    place: Place, browser: httpx.Client
) -> None:
    make_known(place, "registry.example.com/media:1", FIRST)
    new = "registry.example.com/media:3"
    look = browser.get(f"{APP}/release", params={"image": new, "note": "faster"})
    assert "sha256:cccccccccccc" in look.text
    assert current(place)[0] == 1, "looking changes nothing"
    form = {"image": new, "note": "faster", "current": "1"}
    made = browser.post(f"{APP}/release", data=form)
    assert made.headers["location"] == f"{APP}?notice=released"
    assert current(place) == (2, new, "registry.example.com/media@sha256:" + "c" * 64)
    assert trail(place)[0] == "app.release"
    again = browser.post(f"{APP}/release", data=form | {"current": "2"})
    assert again.headers["location"] == f"{APP}?notice=as-before"
    late = browser.post(f"{APP}/release", data=form | {"image": "registry.example.com/x:3"})
    assert late.status_code == 409
    assert "meanwhile" in late.text
    for image, why in (
        ("registry.example.com/media:lost", "is not in its registry"),
        ("elsewhere.example.com/media:1", "BARBEQUE_REGISTRIES"),
        ("no image", "is not an image"),
    ):
        assert why in browser.get(f"{APP}/release", params={"image": image}).text
        refused = browser.post(f"{APP}/release", data={"image": image})
        assert (refused.status_code, why in refused.text) == (422, True)
    assert current(place)[0] == 2


def test_the_way_back_asks_for_the_app_s_name_and_for_what_was_seen(
    place: Place, browser: httpx.Client
) -> None:
    assert browser.get(f"{APP}/rollback").status_code == 409
    make_known(place, "registry.example.com/media:1", FIRST)
    make_known(place, "registry.example.com/media:2", SECOND)
    asked = browser.get(f"{APP}/rollback").text
    action = f"{APP}/rollback?to=1&current=2"
    assert f'action="{action.replace("&", "&amp;")}"' in asked
    assert browser.post(action, data={"typed": "medium"}).status_code == 422
    assert current(place)[0] == 2
    done = browser.post(action, data={"typed": "media"})
    assert done.headers["location"] == f"{APP}?notice=rolled-back"
    assert current(place) == (3, "registry.example.com/media:1", FIRST)
    assert trail(place)[0] == "app.rollback"
    late = browser.post(action, data={"typed": "media"})
    assert late.status_code == 409
    assert "revision 3 is the app" in late.text.lower()
    assert "back to release 1" in browser.get(APP).text


def test_what_nobody_has_resolved_says_so_and_variables_keep_their_values(
    place: Place, browser: httpx.Client
) -> None:
    make_known(place, "registry.example.com/media:9", None)

    def put(tx: Tx) -> None:
        found = apps.get_app(tx, "media")
        assert found is not None
        apps.put_app(tx, replace(found, env={"SECRET": "canary"}))

    place.store.write(put)
    page = browser.get(APP).text
    assert "not resolved yet" in page
    assert "env.SECRET" in page
    assert "canary" not in page


def test_the_pages_stand_under_a_prefix(place: Place) -> None:
    make_known(place, "registry.example.com/media:1", FIRST)
    with serve_console(place, prefix="/ops") as address, httpx.Client() as client:
        page = client.get(f"{address}{APP}").text
        assert 'href="/ops/apps/media/releases/1"' in page
