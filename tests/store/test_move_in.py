"""Barbeque's database is taken over: in our words, once, and the source stays untouched."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from barbeque_py import clock
from barbeque_py.apps import JobDefinition, Subscription
from barbeque_py.backoff import RetryPolicy
from barbeque_py.errors import StoreUnavailable
from barbeque_py.former import TIMEOUT, image_of, read_command
from barbeque_py.identity import EVERYBODY
from barbeque_py.logs import message_key
from barbeque_py.move_in import Report, Tally, Terms, move_in
from barbeque_py.store import Store, apps, revisions, subscriptions, tables
from barbeque_py.store.former import FormerDatabase
from tests.store.barbeque_database import (
    TOPIC,
    BarbequeDatabase,
    barbeque_database,
    fill,
    message_id,
)
from tests.store.world import attempts_of, find, take_in
from tests.stores import MariaDb

pytestmark = pytest.mark.mariadb

TERMS = Terms(
    EVERYBODY,
    keep=timedelta(days=90),
    default_registry=None,
    default_queue="default",
    hears_topics=True,
)
DELETED = "its job definition was deleted"
OPEN = "it is still open in Barbeque"


@pytest.fixture
def former(mariadb: MariaDb) -> Iterator[BarbequeDatabase]:
    with barbeque_database(mariadb) as made:
        yield made


def moved(former: BarbequeDatabase, store: Store, terms: Terms = TERMS) -> Report:
    with closing(FormerDatabase(former.url)) as source:
        return move_in(source, store, terms)


def counted(store: Store, name: str) -> int:
    query = select(func.count()).select_from(tables.metadata.tables[name])
    return int(store.read(lambda tx: tx.execute(query).scalar_one()))


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_the_history_is_taken_over_once(
    former: BarbequeDatabase, mariadb_store: Store, count: int
) -> None:
    store, share = mariadb_store, count // 100
    fill(former, count, clock.now())
    before = former.ask("CHECKSUM TABLE barbeque_job_executions, barbeque_job_retries")
    dry = moved(former, store, replace(TERMS, dry_run=True))
    assert [counted(store, name) for name in ("executions", "apps", "audit")] == [0, 0, 0]
    report = moved(former, store)
    assert report.facts() == dry.facts()
    # Of each hundred 20 are open; the one in a hundred without a definition is a success.
    history, tries = report.kinds["executions"], report.kinds["attempts"]
    assert (history.imported, history.there) == (79 * share, 0)
    assert history.skipped == {OPEN: 20 * share, DELETED: share}
    assert tries.imported == (79 + 30) * share
    assert counted(store, "executions") == history.imported
    assert counted(store, "attempts") == tries.imported
    assert counted(store, "retries") == 30 * share
    again = moved(former, store)
    assert again.kinds["executions"].there == history.imported
    assert {each.imported for each in again.kinds.values()} == {0}
    assert counted(store, "attempts") == tries.imported
    assert former.ask("CHECKSUM TABLE barbeque_job_executions, barbeque_job_retries") == before
    states = select(tables.runs.executions.c.state, func.count()).group_by(
        tables.runs.executions.c.state
    )
    found = dict(store.read(lambda tx: [tuple(row) for row in tx.execute(states)]))
    assert found == {"succeeded": 49 * share, "failed": 30 * share}


def test_an_execution_is_as_it_was(former: BarbequeDatabase, store: Store) -> None:
    now = clock.now()
    fill(former, 20, now)
    moved(former, store)
    start = (now - timedelta(days=20)).replace(microsecond=0)
    for number, state, could_not_start, ends in (
        (1, "succeeded", False, [("exited", 0)]),
        (4, "failed", False, [("exited", None)]),
        (5, "failed", True, [("never started", None)]),
        (6, "succeeded", False, [("exited", None), ("exited", None), ("exited", 0)]),
        (7, "failed", False, [("exited", None), ("exited", None)]),
    ):
        execution = find(store, message_id(number))
        tries = attempts_of(store, message_id(number))
        assert (execution.state, execution.could_not_start) == (state, could_not_start)
        assert [(each.reason, each.exit_code) for each in tries] == ends
        assert (execution.app, execution.stage, execution.attempts) == ("media", "done", len(ends))
        assert execution.sent_at == start + timedelta(seconds=number)
        assert execution.finished_at == tries[-1].finished_at
        assert [each.number for each in tries] == list(range(1, len(ends) + 1))
    six = find(store, message_id(6))
    assert find(store, message_id(6, 2)).id == six.id
    assert six.finished_at == start + timedelta(seconds=11, minutes=2)
    assert (six.job, six.queue) == ("Thumbnail::Make", "default")
    assert six.message_key == f"media/Thumbnail::Make/{message_id(6)}/message.json"
    assert six.message_key == message_key("media", "Thumbnail::Make", message_id(6))


def test_what_ended_since_is_taken_over_the_next_time(
    former: BarbequeDatabase, sqlite_store: Store
) -> None:
    fill(former, 10, clock.now())
    assert moved(former, sqlite_store).kinds["executions"].skipped[OPEN] == 2
    former.run(
        "UPDATE barbeque_job_executions SET status = 1, finished_at = created_at WHERE id = 8"
    )
    former.run("DELETE FROM barbeque_job_retries")
    report = moved(former, sqlite_store)
    assert (report.kinds["executions"].imported, report.kinds["executions"].there) == (1, 8)
    assert find(sqlite_store, message_id(8)).state == "succeeded"


def test_what_is_open_in_a_barbeque_that_was_stopped_goes_on_here(
    former: BarbequeDatabase, sqlite_store: Store
) -> None:
    store = sqlite_store
    fill(former, 10, clock.now())
    former.run("UPDATE barbeque_job_executions SET status = 3 WHERE id = 7")
    former.run("DELETE FROM barbeque_job_retries WHERE job_execution_id = 7")
    report = moved(former, store, replace(TERMS, stopped=True))
    assert (report.kinds["executions"].imported, report.kinds["executions"].skipped) == (10, {})
    open_one = find(store, message_id(7))
    assert (open_one.state, open_one.stage) == ("failed", "done")
    assert "still open" in str(open_one.note)
    assert [each.reason for each in attempts_of(store, message_id(8))] == ["vanished"]
    body = json.dumps({"Type": "JobRetry", "RetryMessageId": message_id(7)})
    assert len(take_in(store, body).done) == 1
    assert find(store, message_id(7)).state == "queued"


def test_it_goes_on_where_it_was_stopped(former: BarbequeDatabase, sqlite_store: Store) -> None:
    fill(former, 1_200, clock.now())

    def stop(_: Tally) -> None:
        raise KeyboardInterrupt

    with closing(FormerDatabase(former.url)) as source, pytest.raises(KeyboardInterrupt):
        move_in(source, sqlite_store, TERMS, stop)
    first = counted(sqlite_store, "executions")
    assert 0 < first < 500
    history = moved(former, sqlite_store).kinds["executions"]
    assert (history.imported + history.there, history.there) == (948, first)


def test_what_would_be_forgotten_at_once_is_left_out(
    former: BarbequeDatabase, sqlite_store: Store
) -> None:
    fill(former, 10, clock.now())
    report = moved(former, sqlite_store, replace(TERMS, keep=timedelta(days=10)))
    assert report.kinds["executions"].imported == 0
    assert report.kinds["executions"].skipped["it ended before what BARBEQUE_RETENTION keeps"] == 8


def test_definitions_are_taken_over_in_our_words(
    former: BarbequeDatabase, sqlite_store: Store
) -> None:
    store = sqlite_store
    report = moved(former, store)
    media = store.read(lambda tx: apps.get_app(tx, "media"))
    assert media is not None
    assert (media.image, media.description) == ("registry.example.com/media:v1", "Makes pictures")
    revision = store.read(lambda tx: revisions.current(tx, "media"))
    assert revision is not None
    assert (revision.number, revision.image) == (1, media.image)
    jobs = {job.name: job for job in store.read(lambda tx: apps.jobs_of(tx, "media"))}
    assert jobs.keys() == {"Thumbnail::Make", "encode", "Encode"}
    assert jobs["Encode"] == JobDefinition(
        "media", "Encode", ("Encode",), timeout=TIMEOUT, retry=RetryPolicy(limit=0)
    )
    first = jobs["Thumbnail::Make"]
    assert first.command == ("rake", "barbeque:execute", "BARBEQUE_ENV=1")
    assert first.retry == RetryPolicy(limit=3)
    assert first.notify == {
        "slack": "#media",
        "hears": ["success", "failure"],
        "mention": "@oncall",
    }
    second = jobs["encode"]
    assert second.notify == {"slack": "#media", "hears": ["attempt"]}
    half = timedelta(seconds=30)
    assert second.retry == RetryPolicy(100, half, half, jitter=False)
    assert second.command == ("encode", "2")
    assert store.read(apps.queue_names) == ["default", "slow"]
    (heard,) = store.read(subscriptions.everything)
    assert heard.wanted == Subscription(TOPIC, "slow", "media", "Thumbnail::Make")
    told = "\n".join(report.unfit)
    for lost in ("bad name!", "media/Nothing", "bad name!/Lost", TOPIC):
        assert lost in told
    assert [each.there for each in moved(former, store).kinds.values()][:4] == [2, 2, 3, 1]


def test_what_is_ours_already_stays_as_it_is(former: BarbequeDatabase, sqlite_store: Store) -> None:
    store = sqlite_store
    moved(former, store)
    mine = JobDefinition("media", "Encode", ("mine",))
    store.write(lambda tx: apps.put_job(tx, mine))
    moved(former, store)
    assert store.read(lambda tx: apps.get_job(tx, "media", "Encode")) == mine


def test_without_sqs_topics_are_left_out(former: BarbequeDatabase, sqlite_store: Store) -> None:
    report = moved(former, sqlite_store, replace(TERMS, hears_topics=False))
    assert sqlite_store.read(subscriptions.everything) == []
    assert report.kinds["subscriptions"].skipped == {"BARBEQUE_BROKER is not sqs:": 1}


def test_the_source_can_not_be_written(former: BarbequeDatabase) -> None:
    with closing(FormerDatabase(former.url)) as source:
        assert source.count() == 0
        with pytest.raises(DBAPIError, match="READ ONLY"), source._engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM barbeque_apps")


def test_a_database_that_is_none_of_barbeques_says_so(
    mariadb: MariaDb, sqlite_store: Store
) -> None:
    with (
        mariadb.database() as url,
        closing(FormerDatabase(url)) as source,
        pytest.raises(StoreUnavailable, match="barbeque_apps"),
    ):
        move_in(source, sqlite_store, TERMS)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("---\n- a\n- b c\n", ("a", "b c")),
        ("--- []\n", ()),
        ("rake 'a b'", ("rake", "a b")),
        ("---\n- - nested\n", ()),
        ("{", ()),
        ("", ()),
        ("!ruby/object:Evil {}", ()),
    ],
)
def test_commands_are_read_as_rails_wrote_them(text: str, command: tuple[str, ...]) -> None:
    assert read_command(text) == command


def test_images_mean_what_they_meant() -> None:
    assert image_of("team/media", has_default_registry=True) == "docker.io/team/media"
    assert image_of("team/media", has_default_registry=False) == "team/media"
    assert image_of("media", has_default_registry=True) == "media"
    assert image_of("r.example.com/media", has_default_registry=True) == "r.example.com/media"
