"""Revisions: numbered, pinned once for all workers, and kept by what has begun on them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from barbeque_py.apps import App, Revision
from barbeque_py.errors import ImageRefused, LaunchRefused, RequestError, UnknownApp
from barbeque_py.executor import Blueprint, Preparation
from barbeque_py.identity import EVERYBODY
from barbeque_py.ids import new_message_id
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.release import Sources, release, roll_back
from barbeque_py.retry import retry
from barbeque_py.start import Claim, Claimant, claim
from barbeque_py.store import Store, Tx, apps, revisions, tables
from tests.store.world import FAILURE, SUCCESS, attempts_of, define, end, enqueue, later, ripen

CLAIMANT = Claimant("worker-1", "here", timedelta(seconds=90))
NEVER = Fate(Reason.NEVER_STARTED, detail="no such image")
Answering = Callable[[Blueprint], Preparation | LaunchRefused | None]


def released(store: Store, image: str, pinned: str | None = None, app: str = "media") -> Revision:
    return store.write(lambda tx: release(tx, EVERYBODY, app, image, pinned=pinned))


def rolled_back(store: Store, to: int | None = None, sources: Sources | None = None) -> Revision:
    wanted = sources or Sources()
    return store.write(lambda tx: roll_back(tx, EVERYBODY, "media", wanted, to=to))


def ready(blueprint: Blueprint) -> Preparation:
    return Preparation(blueprint.image, "here", revision=blueprint.revision)


def claim_media(store: Store, prepare: Answering = ready) -> list[Claim]:
    """Claim as a worker does whose images are ready, today's as `prepare` says, too."""

    def take(tx: Tx) -> list[Claim]:
        app = apps.get_app(tx, "media")
        assert app is not None
        today = Preparation(
            app.pinned or f"{app.image}@sha256:today", "here", revision=app.revision
        )
        prepared = {"media": {job.name: today for job in apps.jobs_of(tx, "media")}}
        return claim(tx, CLAIMANT, "default", most=10, prepared=prepared, prepare=prepare)

    return store.write(take)


def run_once(store: Store, fate: Fate, prepare: Answering = ready) -> str:
    """Let the one execution that is due run an attempt that ends so; return its image."""
    later(store, days=1)
    ripen(store)
    (claimed,) = claim_media(store, prepare)
    end(store, claimed.attempt, fate)
    return claimed.launch.image


def audited(store: Store) -> list[str]:
    query = select(tables.people.audit.c.action).order_by(tables.people.audit.c.id)
    return [row.action for row in store.read(lambda tx: tx.execute(query).all())]


def test_releases_are_numbered_per_app_and_the_newest_is_current(store: Store) -> None:
    define(store)
    define(store, app="other")
    assert store.read(lambda tx: revisions.current(tx, "media")) is None
    first = released(store, "media:1", "media@sha256:1")
    second = released(store, "media:2")
    assert [first.number, second.number, released(store, "o:1", app="other").number] == [1, 2, 1]
    assert store.read(lambda tx: revisions.current(tx, "media")) == second
    assert store.read(lambda tx: revisions.history(tx, "media")) == [second, first]
    assert store.read(lambda tx: revisions.history(tx, "media", before=2)) == [first]
    app = store.read(lambda tx: apps.get_app(tx, "media"))
    assert app is not None
    assert (app.image, app.pinned, app.revision) == ("media:2", None, second.id)
    assert audited(store) == ["app.release"] * 3


def test_the_same_image_again_is_a_revision_only_where_its_tag_may_have_moved(store: Store) -> None:
    define(store)
    first = released(store, "media:1", "media@sha256:1")
    assert released(store, "media:1", "media@sha256:1") == first
    assert released(store, "media:1", "media@sha256:2").number == 2
    assert released(store, "media:1").number == 3
    assert released(store, "media:1").number == 4
    assert audited(store) == ["app.release"] * 4


def test_releasing_for_an_unknown_app_changes_nothing(store: Store) -> None:
    with pytest.raises(UnknownApp, match="nothing"):
        released(store, "media:1", app="nothing")
    assert audited(store) == []


def test_ten_workers_that_pin_at_once_agree_on_one_image(store: Store) -> None:
    define(store)
    number = released(store, "media:1").id
    with ThreadPoolExecutor(10) as workers:
        held = list(
            workers.map(
                lambda n: store.write(lambda tx: revisions.pin(tx, number, f"media@sha256:{n}")),
                range(10),
            )
        )
    assert len(set(held)) == 1
    found = store.read(lambda tx: revisions.current(tx, "media"))
    assert found is not None
    assert found.pinned == held[0]
    assert found.pinned_at is not None


def test_ten_releases_at_once_have_ten_numbers(store: Store) -> None:
    define(store)
    with ThreadPoolExecutor(10) as people:
        numbers = list(people.map(lambda n: released(store, f"media:{n}").number, range(10)))
    assert sorted(numbers) == list(range(1, 11))
    current = store.read(lambda tx: revisions.current(tx, "media"))
    assert current is not None
    assert current.number == 10


def test_every_attempt_runs_the_image_of_the_first(store: Store) -> None:
    define(store)
    old = released(store, "media:1", "media@sha256:1")
    message_id = enqueue(store)
    assert run_once(store, FAILURE) == "media@sha256:1"
    new = released(store, "media:2", "media@sha256:2")
    assert run_once(store, FAILURE) == "media@sha256:1"
    other = enqueue(store)
    later(store, days=1)
    ripen(store)
    claims = claim_media(store)
    images = {each.execution.message_id: each.launch.image for each in claims}
    assert images == {message_id: "media@sha256:1", other: "media@sha256:2"}
    assert [each.revision for each in attempts_of(store, message_id)] == [old.id] * 3
    assert [each.revision for each in attempts_of(store, other)] == [new.id]


def test_what_waits_for_its_earlier_image_holds_nothing_else_up(store: Store) -> None:
    define(store)
    released(store, "media:1", "media@sha256:1")
    first = enqueue(store)
    run_once(store, FAILURE)
    released(store, "media:2", "media@sha256:2")
    second = enqueue(store)
    later(store, days=1)
    ripen(store)
    asked = []

    def not_yet(blueprint: Blueprint) -> None:
        asked.append(blueprint.image)

    claims = claim_media(store, not_yet)
    assert [each.execution.message_id for each in claims] == [second]
    assert set(asked) == {"media@sha256:1"}
    assert [each.execution.message_id for each in claim_media(store)] == [first]


def test_an_attempt_that_never_started_has_no_say_in_the_image(store: Store) -> None:
    define(store)
    released(store, "media:1", "media@sha256:bad")
    enqueue(store)
    assert run_once(store, NEVER) == "media@sha256:bad"
    released(store, "media:2", "media@sha256:2")
    assert run_once(store, FAILURE) == "media@sha256:2"
    released(store, "media:3", "media@sha256:3")
    assert run_once(store, FAILURE) == "media@sha256:2"


def test_an_earlier_image_that_is_gone_is_a_failure_of_its_own_revision(store: Store) -> None:
    define(store)
    old = released(store, "media:1", "media@sha256:1")
    message_id = enqueue(store)
    run_once(store, FAILURE)
    released(store, "media:2", "media@sha256:2")
    gone = LaunchRefused("it is gone", blame_definition=True)
    later(store, days=1)
    ripen(store)
    (claimed,) = claim_media(store, lambda _: gone)
    assert claimed.refused is gone
    assert attempts_of(store, message_id)[1].revision == old.id


def test_a_retry_runs_the_image_it_ran_or_todays_where_that_is_asked_for(store: Store) -> None:
    define(store)
    released(store, "media:1", "media@sha256:1")
    message_id = enqueue(store)
    run_once(store, SUCCESS)
    released(store, "media:2", "media@sha256:2")
    store.write(lambda tx: retry(tx, message_id, retry_id=str(new_message_id())))
    assert run_once(store, SUCCESS) == "media@sha256:1"
    once = str(new_message_id())
    store.write(lambda tx: retry(tx, message_id, retry_id=once, current_image=True))
    assert run_once(store, FAILURE) == "media@sha256:2"
    released(store, "media:3", "media@sha256:3")
    assert run_once(store, FAILURE) == "media@sha256:2"


def test_an_image_that_was_changed_without_a_release_is_not_what_the_revision_says(
    store: Store,
) -> None:
    define(store)
    released(store, "media:1", "media@sha256:1")
    store.write(lambda tx: apps.put_app(tx, App("media", "media:2")))
    app = store.read(lambda tx: apps.get_app(tx, "media"))
    assert app is not None
    assert (app.image, app.pinned, app.revision) == ("media:2", None, None)


def test_a_rollback_brings_back_what_the_revision_before_meant(store: Store) -> None:
    define(store)
    for number in (1, 2, 3):
        released(store, "media:latest", f"media@sha256:{number}")
    made = rolled_back(store)
    assert (made.number, made.rollback_of, made.pinned) == (4, 2, "media@sha256:2")
    made = rolled_back(store)
    assert (made.number, made.rollback_of, made.pinned) == (5, 1, "media@sha256:1")
    with pytest.raises(RequestError, match="no other image before"):
        rolled_back(store)
    made = rolled_back(store, to=3)
    assert (made.number, made.rollback_of, made.pinned) == (6, 3, "media@sha256:3")
    enqueue(store)
    assert run_once(store, SUCCESS) == "media@sha256:3"
    assert audited(store)[3:] == ["app.rollback"] * 3


def test_a_rollback_that_can_not_be_says_why(store: Store) -> None:
    define(store)
    with pytest.raises(RequestError, match="no revision yet"):
        rolled_back(store)
    released(store, "there.example.com/media:1")
    with pytest.raises(RequestError, match="no revision 7"):
        rolled_back(store, to=7)
    with pytest.raises(RequestError, match="is the app's current one"):
        rolled_back(store, to=1)
    released(store, "other.example.com/media:1")
    with pytest.raises(ImageRefused, match=r"other\.example\.com"):
        rolled_back(store, sources=Sources(allowed=("other.example.com",)))
