"""Rows of callbacks and of the secrets that sign: made once, ended once, bounded, forgotten."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from barbeque_py.ids import AttemptId, attempt_id, new_message_id
from barbeque_py.outcomes import Reason
from barbeque_py.store import Store, callbacks, signing_secrets
from barbeque_py.store.callbacks import LOG_LIMIT, Callback, Written
from tests.store.world import define, later

URL = "https://studio.example.com/jobs?a=" + "ü" * 10


def begin(store: Store) -> AttemptId:
    attempt = attempt_id(new_message_id(), 1)
    store.write(lambda tx: callbacks.add(tx, attempt, URL))
    return attempt


def row(store: Store, attempt: AttemptId) -> Callback | None:
    return store.read(lambda tx: callbacks.get(tx, attempt))


def lines(store: Store, attempt: AttemptId, after: int = 0, most: int = 10) -> Sequence[Written]:
    return store.read(lambda tx: callbacks.written(tx, attempt, after=after, most=most))


def test_an_attempt_begins_once(store: Store) -> None:
    attempt = begin(store)
    before = row(store, attempt)
    store.write(lambda tx: callbacks.add(tx, attempt, "https://another.example.com/"))
    assert row(store, attempt) == before
    assert before is not None
    assert before.url == URL
    assert store.read(callbacks.all_ids) == [attempt]
    assert row(store, attempt_id(new_message_id(), 1)) is None


def test_it_is_answered_and_ended_once(store: Store) -> None:
    attempt = begin(store)
    assert store.write(lambda tx: callbacks.mark_answered(tx, attempt))
    assert not store.write(lambda tx: callbacks.mark_answered(tx, attempt))
    assert store.write(lambda tx: callbacks.end(tx, attempt, Reason.EXITED, 0, "x" * 9000))
    assert not store.write(lambda tx: callbacks.end(tx, attempt, Reason.EXITED, 1, ""))
    ended = row(store, attempt)
    assert ended is not None
    assert (ended.reason, ended.exit_code) == (Reason.EXITED, 0)
    assert ended.detail == "x" * 4000


def test_whether_a_backend_may_know_of_it_is_remembered(store: Store) -> None:
    attempt = begin(store)
    store.write(lambda tx: callbacks.mark_sent(tx, attempt))
    first = row(store, attempt)
    later(store, seconds=5)
    store.write(lambda tx: callbacks.mark_sent(tx, attempt))
    assert row(store, attempt) == first
    store.write(lambda tx: callbacks.unmark_sent(tx, attempt))
    after = row(store, attempt)
    assert after is not None
    assert after.sent_at is None


def test_its_log_has_a_limit_and_an_order(store: Store) -> None:
    attempt = begin(store)
    for text in ("one", "two \N{GRINNING FACE}", "x" * 300_000):
        assert store.write(lambda tx, text=text: callbacks.write(tx, attempt, text))  # type: ignore[misc]
    found = lines(store, attempt)
    assert [len(each.text) for each in found] == [3, 5, 300_000]
    assert list(lines(store, attempt, after=found[0].id, most=1)) == [found[1]]
    assert not store.write(lambda tx: callbacks.write(tx, attempt, "x" * LOG_LIMIT))
    assert store.write(lambda tx: callbacks.write(tx, attempt, "more", stream="err"))
    assert not store.write(lambda tx: callbacks.write(tx, AttemptId("none"), "text"))


def test_only_what_has_ended_is_forgotten(store: Store) -> None:
    attempt, other = begin(store), begin(store)
    for each in (attempt, other):
        store.write(lambda tx, each=each: callbacks.write(tx, each, "line"))  # type: ignore[misc]
    store.write(lambda tx: callbacks.end(tx, attempt, Reason.EXITED, 0, ""))
    for each in (attempt, other):
        store.write(lambda tx, each=each: callbacks.forget(tx, each))  # type: ignore[misc]
    assert store.read(callbacks.all_ids) == [other]
    assert lines(store, attempt) == []
    assert len(lines(store, other)) == 1


def test_whoever_comes_first_an_app_has_one_secret(store: Store, other_store: Store) -> None:
    define(store)

    def ask(asked: Store) -> str:
        return asked.write(lambda tx: signing_secrets.of_app(tx, "media"))[0].secret

    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(ask, [store, other_store] * 8))
    assert len(found) == 1


def test_a_secret_is_replaced_without_a_gap(store: Store) -> None:
    define(store)
    first = store.write(lambda tx: signing_secrets.of_app(tx, "media"))[0].secret
    hour = timedelta(hours=1)

    def now() -> list[str]:
        return [each.secret for each in store.write(lambda tx: signing_secrets.of_app(tx, "media"))]

    second = store.write(lambda tx: signing_secrets.rotate(tx, "media", keep=hour))[0].secret
    assert now() == [second, first]
    third = store.write(lambda tx: signing_secrets.rotate(tx, "media", keep=hour))[0].secret
    assert now() == [third, second], "never more than two"
    later(store, hours=2)
    assert now() == [third]
    fourth = store.write(lambda tx: signing_secrets.rotate(tx, "media", keep=timedelta(0)))
    assert now() == [each.secret for each in fourth]
    assert len({first, second, third, *now()}) == 4
